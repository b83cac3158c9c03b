// Descriptions of matrices for the copy engine of sm_90 (TMA), which loads tiles of them.
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

// std::runtime_error for what cannot be described.
TensorMap make_tensor_map(const MappedLines& lines);

}  // namespace neurona
