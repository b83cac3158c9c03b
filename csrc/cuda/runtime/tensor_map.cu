// cuTensorMapEncodeTiled is a function of the driver, which is asked for it: the extension is not
// linked with the driver's library, so that it loads where there is none.
#include "cuda/platform/tensor_map.h"

#include <cuda.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "cuda/device.h"
#include "cuda/runtime/check.h"

namespace neurona {
namespace {

constexpr const char* kWhat = "tensor map";

// A function of the driver, which is not linked: extensions load without one.
template <typename Function>
Function of_driver(const char* name) {
  compute_stream();  // the first call says that there is no device, if so
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result;
  check_cuda(kWhat,
             cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result));
  if (result != cudaDriverEntryPointSuccess || !found)
    throw std::runtime_error(std::string("tensor map: the driver has no ") + name);
  return reinterpret_cast<Function>(found);
}

// The elements were rounded when they were packed, so TF32 is loaded as what it is stored in.
CUtensorMapDataType type_of(MapElement element) {
  return element == MapElement::kTf32 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                                      : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
}

cuuint32_t elements_of_line(MapElement element) {
  return static_cast<cuuint32_t>(kTileLineBytes / element_bytes(element));
}

TensorMap checked(CUresult status, const CUtensorMap& map) {
  if (status != CUDA_SUCCESS)
    throw std::runtime_error("tensor map: the driver refuses it, error " + std::to_string(status));
  TensorMap bytes;
  static_assert(sizeof bytes == sizeof map && alignof(TensorMap) >= alignof(CUtensorMap));
  std::memcpy(&bytes, &map, sizeof map);
  return bytes;
}

}  // namespace

TensorMap make_tensor_map(const MappedLines& lines) {
  static const auto encode = of_driver<decltype(&cuTensorMapEncodeTiled)>("cuTensorMapEncodeTiled");
  const cuuint64_t extents[3] = {static_cast<cuuint64_t>(lines.depth),
                                 static_cast<cuuint64_t>(lines.lines),
                                 static_cast<cuuint64_t>(lines.batches)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(lines.line_bytes),
                                 static_cast<cuuint64_t>(lines.line_bytes * lines.lines)};
  const cuuint32_t tile[3] = {elements_of_line(lines.element),
                              static_cast<cuuint32_t>(lines.tile_lines), 1};
  const cuuint32_t neighbours[3] = {1, 1, 1};
  CUtensorMap map;
  const CUresult status =
      encode(&map, type_of(lines.element), 3, const_cast<void*>(lines.data), extents, strides, tile,
             neighbours, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return checked(status, map);
}

// The driver counts axes from the innermost: channels, width, height, images.
TensorMap make_tensor_map(const MappedPatches& patches) {
  static const auto encode =
      of_driver<decltype(&cuTensorMapEncodeIm2col)>("cuTensorMapEncodeIm2col");
  const cuuint64_t extents[4] = {
      static_cast<cuuint64_t>(patches.channels), static_cast<cuuint64_t>(patches.width),
      static_cast<cuuint64_t>(patches.height), static_cast<cuuint64_t>(patches.images)};
  const auto pixel = static_cast<cuuint64_t>(patches.pixel_bytes);
  const cuuint64_t strides[3] = {pixel, pixel * extents[1], pixel * extents[1] * extents[2]};
  const int lower[2] = {patches.first[1], patches.first[0]};
  const int upper[2] = {static_cast<int>(upper_corner(patches.first[1], patches.count[1],
                                                      patches.stride[1], patches.width)),
                        static_cast<int>(upper_corner(patches.first[0], patches.count[0],
                                                      patches.stride[0], patches.height))};
  const cuuint32_t steps[4] = {1, static_cast<cuuint32_t>(patches.stride[1]),
                               static_cast<cuuint32_t>(patches.stride[0]), 1};
  CUtensorMap map;
  const CUresult status = encode(
      &map, type_of(patches.element), 4, const_cast<void*>(patches.data), extents, strides, lower,
      upper, elements_of_line(patches.element), static_cast<cuuint32_t>(patches.tile_lines), steps,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return checked(status, map);
}

}  // namespace neurona
