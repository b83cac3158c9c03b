// Tensor maps: what the driver writes into the 128 bytes of a CUtensorMap, and the copy engine
// reads there. NVIDIA keeps its layout to itself; this is another one.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>

namespace ptx_machine {

constexpr unsigned kMostAxes = 5;
constexpr unsigned kMostPixelAxes = 3;  // of an image: depth, height, width

// Axes count from the innermost, as in the calls that make a map.
struct TensorMapView {
  bool is_im2col = false;
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;
  CUtensorMapFloatOOBfill fill = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
  unsigned rank = 0;
  uintptr_t address = 0;
  uint64_t extents[kMostAxes] = {};
  uint64_t stride_bytes[kMostAxes] = {};  // of the innermost axis: an element's
  uint32_t steps[kMostAxes] = {};         // "element strides"

  uint32_t box[kMostAxes] = {};  // of a tiled map

  // Of an im2col map: width first, rank - 2 of them.
  int lower_corner[kMostPixelAxes] = {}, upper_corner[kMostPixelAxes] = {};
  uint32_t channels_per_pixel = 0, pixels_per_column = 0;
};

// 0 for what the device does not know.
size_t element_bytes(CUtensorMapDataType type);

// cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col.
CUresult encode_tiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                      const cuuint64_t* extents, const cuuint64_t* stride_bytes,
                      const cuuint32_t* box, const cuuint32_t* steps,
                      CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                      CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill);
CUresult encode_im2col(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                       const cuuint64_t* extents, const cuuint64_t* stride_bytes,
                       const int* lower_corner, const int* upper_corner,
                       cuuint32_t channels_per_pixel, cuuint32_t pixels_per_column,
                       const cuuint32_t* steps, CUtensorMapInterleave interleave,
                       CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                       CUtensorMapFloatOOBfill fill);

// std::runtime_error for bytes that are no map.
TensorMapView decode_tensor_map(const void* map);

}  // namespace ptx_machine
