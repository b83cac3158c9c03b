// Descriptions of matrices and images for the copy engine of sm_90 (TMA), which loads tiles of
// them.
#pragma once

#include <cstdint>

namespace neurona {

// Kernels take it as const __grid_constant__ parameter. On a GPU it holds a CUtensorMap, in the
// emulation what emulation/tensor_map.h says.
struct
#if defined(__CUDACC__)
    alignas(128)
#endif
        TensorMap {
  uint64_t words[16];
};

// Bytes of a tile's lines: the longest that can be swizzled.
constexpr int kTileLineBytes = 128;

enum class MapElement { kBfloat16, kTf32 };
constexpr int element_bytes(MapElement element) { return element == MapElement::kTf32 ? 4 : 2; }

// `batches` matrices of `lines` lines of `depth` elements, one behind the other in device memory.
// Lines begin line_bytes apart, a multiple of 16. A tile has tile_lines lines (256 at most) of
// kTileLineBytes; what lies beyond a matrix is 0.
struct MappedLines {
  const void* data;
  int64_t depth, lines, batches, line_bytes;
  int tile_lines;
  MapElement element;
};

// Images (channels last) of which tiles of patches are loaded ("im2col"). The lines of a tile are
// pixels, kTileLineBytes of channels each: of every image those at first + i * stride, `count` of
// them in a row and in a column, numbered along the row, then the column, then the images. A load
// says how far beside its pixel each line is read; outside the image there are zeros.
struct MappedPatches {
  const void* data;
  int64_t images, height, width, channels, pixel_bytes;  // pixels begin a multiple of 16 apart
  int first[2], count[2], stride[2];                     // (height, width)
  int tile_lines;
  MapElement element;
};

// What the copy engine's fields hold: first pixels, last ones counted from the image's end, strides
// and how far beside its pixel a line may lie.
constexpr int kLeastCorner = -128, kMostCorner = 127, kMostPatchStride = 8, kMostPatchOffset = 254;

// The last pixel, counted from the last of the image.
constexpr int64_t upper_corner(int64_t first, int64_t count, int64_t stride, int64_t extent) {
  return first + (count - 1) * stride - (extent - 1);
}

// std::runtime_error for what cannot be described.
TensorMap make_tensor_map(const MappedLines& lines);
TensorMap make_tensor_map(const MappedPatches& patches);

}  // namespace neurona
