// cuTensorMapEncodeTiled is a function of the driver, which is asked for it: the extension is not
// linked with the driver's library, so that it loads where there is none.
#include "cuda/tensor_map.h"

#include <cuda.h>

#include <cstring>
#include <stdexcept>

#include "cuda/device.h"
#include "cuda/runtime/check.h"

namespace neurona {
namespace {

constexpr const char* kWhat = "tensor map";

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode encoder() {
  static const Encode function = [] {
    compute_stream();  // the first call says that there is no device, if so
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result;
    check_cuda(kWhat, cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000,
                                                       cudaEnableDefault, &result));
    if (result != cudaDriverEntryPointSuccess || !found)
      throw std::runtime_error("tensor map: the driver has no cuTensorMapEncodeTiled");
    return reinterpret_cast<Encode>(found);
  }();
  return function;
}

}  // namespace

TensorMap make_tensor_map(const MappedLines& lines) {
  const cuuint64_t extents[3] = {static_cast<cuuint64_t>(lines.depth),
                                 static_cast<cuuint64_t>(lines.lines),
                                 static_cast<cuuint64_t>(lines.batches)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(lines.line_bytes),
                                 static_cast<cuuint64_t>(lines.line_bytes * lines.lines)};
  const cuuint32_t tile[3] = {
      static_cast<cuuint32_t>(kTileLineBytes / element_bytes(lines.element)),
      static_cast<cuuint32_t>(lines.tile_lines), 1};
  const cuuint32_t neighbours[3] = {1, 1, 1};
  // The elements were rounded when they were packed, so TF32 is loaded as what it is stored in.
  const CUtensorMapDataType type = lines.element == MapElement::kTf32
                                       ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
                                       : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
  CUtensorMap map;
  const CUresult status =
      encoder()(&map, type, 3, const_cast<void*>(lines.data), extents, strides, tile, neighbours,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw std::runtime_error("tensor map: the driver refuses it, error " + std::to_string(status));
  TensorMap bytes;
  static_assert(sizeof bytes == sizeof map && alignof(TensorMap) >= alignof(CUtensorMap));
  std::memcpy(&bytes, &map, sizeof map);
  return bytes;
}

}  // namespace neurona
