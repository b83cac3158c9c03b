#include "runtime/tensor_map.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "runtime/device.h"
#include "runtime/tensor_map_rules.h"

namespace ptx_machine {
namespace {

static_assert(std::is_same_v<decltype(encode_tiled), decltype(cuTensorMapEncodeTiled)>);
static_assert(std::is_same_v<decltype(encode_im2col), decltype(cuTensorMapEncodeIm2col)>);

constexpr uint64_t kMagic = 0x70616d2d78747021;
constexpr size_t kMapAlignment = 64;

// The view in 128 bytes. Extents are stored less 1, so that the greatest of them fit.
struct Packed {
  uint64_t magic, address, stride_bytes[kMostAxes - 1];
  uint32_t last[kMostAxes];
  uint16_t channels_per_pixel, pixels_per_column;
  int16_t lower_corner[kMostPixelAxes], upper_corner[kMostPixelAxes];
  uint8_t last_of_box[kMostAxes], steps[kMostAxes];
  uint8_t is_im2col, type, swizzle, fill, rank;
};
static_assert(sizeof(Packed) <= sizeof(CUtensorMap));

void pack(CUtensorMap* map, const TensorMapView& view) {
  Packed packed{};
  packed.magic = kMagic;
  packed.address = view.address;
  for (unsigned axis = 0; axis < view.rank; ++axis) {
    packed.last[axis] = static_cast<uint32_t>(view.extents[axis] - 1);
    packed.last_of_box[axis] = static_cast<uint8_t>(view.box[axis] - 1);
    packed.steps[axis] = static_cast<uint8_t>(view.steps[axis]);
    if (axis > 0) packed.stride_bytes[axis - 1] = view.stride_bytes[axis];
  }
  packed.channels_per_pixel = static_cast<uint16_t>(view.channels_per_pixel);
  packed.pixels_per_column = static_cast<uint16_t>(view.pixels_per_column);
  std::copy_n(view.lower_corner, kMostPixelAxes, packed.lower_corner);
  std::copy_n(view.upper_corner, kMostPixelAxes, packed.upper_corner);
  packed.is_im2col = view.is_im2col;
  packed.type = static_cast<uint8_t>(view.type);
  packed.swizzle = static_cast<uint8_t>(view.swizzle);
  packed.fill = static_cast<uint8_t>(view.fill);
  packed.rank = static_cast<uint8_t>(view.rank);
  std::memset(map, 0, sizeof *map);
  std::memcpy(map, &packed, sizeof packed);
}

// What both kinds of map have in common. More axes than there can be are left for the rules to
// find.
TensorMapView described(CUtensorMapDataType type, cuuint32_t rank, const void* address,
                        const cuuint64_t* extents, const cuuint64_t* stride_bytes,
                        const cuuint32_t* steps, CUtensorMapSwizzle swizzle,
                        CUtensorMapFloatOOBfill fill) {
  TensorMapView view;
  view.type = type;
  view.swizzle = swizzle;
  view.fill = fill;
  view.rank = rank;
  view.address = reinterpret_cast<uintptr_t>(address);
  const unsigned axes = std::min(rank, kMostAxes);
  std::copy_n(extents, axes, view.extents);
  std::copy_n(steps, axes, view.steps);
  view.steps[0] = 1;  // it is ignored
  view.stride_bytes[0] = element_bytes(type);
  if (axes > 1) std::copy_n(stride_bytes, axes - 1, view.stride_bytes + 1);
  return view;
}

CUresult refuse(CUresult code, const char* reason) {
  std::fprintf(stderr, "PTX machine: tensor map: %s\n", reason);
  return code;
}

CUresult encode(CUtensorMap* map, const TensorMapView& view, CUtensorMapInterleave interleave,
                CUtensorMapL2promotion promotion, void (*check)(const TensorMapView&)) {
  if (capability() < 90)
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "there are some from compute capability 9.0 on");
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE)
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "the machine knows no interleaved ones");
  if (reinterpret_cast<uintptr_t>(map) % kMapAlignment != 0)
    return refuse(CUDA_ERROR_INVALID_VALUE, "it must lie at a multiple of 64");
  if (promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B)
    return refuse(CUDA_ERROR_INVALID_VALUE, "the L2 promotion must be one of the four");
  try {
    check(view);
  } catch (const BrokenRule& broken) {
    return refuse(CUDA_ERROR_INVALID_VALUE, broken.what());
  }
  pack(map, view);
  return CUDA_SUCCESS;
}

}  // namespace

size_t element_bytes(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8: return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16: return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ: return 4;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64: return 8;
    default: return 0;
  }
}

CUresult encode_tiled(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                      const cuuint64_t* extents, const cuuint64_t* stride_bytes,
                      const cuuint32_t* box, const cuuint32_t* steps,
                      CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                      CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  TensorMapView view = described(type, rank, address, extents, stride_bytes, steps, swizzle, fill);
  std::copy_n(box, std::min(rank, kMostAxes), view.box);
  return encode(map, view, interleave, promotion, check_tiled);
}

CUresult encode_im2col(CUtensorMap* map, CUtensorMapDataType type, cuuint32_t rank, void* address,
                       const cuuint64_t* extents, const cuuint64_t* stride_bytes,
                       const int* lower_corner, const int* upper_corner,
                       cuuint32_t channels_per_pixel, cuuint32_t pixels_per_column,
                       const cuuint32_t* steps, CUtensorMapInterleave interleave,
                       CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                       CUtensorMapFloatOOBfill fill) {
  TensorMapView view = described(type, rank, address, extents, stride_bytes, steps, swizzle, fill);
  const unsigned pixel_axes = rank < 2 ? 0 : std::min(rank - 2, kMostPixelAxes);
  std::copy_n(lower_corner, pixel_axes, view.lower_corner);
  std::copy_n(upper_corner, pixel_axes, view.upper_corner);
  view.channels_per_pixel = channels_per_pixel;
  view.pixels_per_column = pixels_per_column;
  view.is_im2col = true;
  return encode(map, view, interleave, promotion, check_im2col);
}

TensorMapView decode_tensor_map(const void* map) {
  Packed packed;
  std::memcpy(&packed, map, sizeof packed);
  if (packed.magic != kMagic) throw std::runtime_error("these bytes are no tensor map");
  TensorMapView view;
  view.is_im2col = packed.is_im2col;
  view.type = static_cast<CUtensorMapDataType>(packed.type);
  view.swizzle = static_cast<CUtensorMapSwizzle>(packed.swizzle);
  view.fill = static_cast<CUtensorMapFloatOOBfill>(packed.fill);
  view.rank = packed.rank;
  view.address = packed.address;
  view.stride_bytes[0] = element_bytes(view.type);
  for (unsigned axis = 0; axis < view.rank; ++axis) {
    view.extents[axis] = uint64_t{packed.last[axis]} + 1;
    if (!view.is_im2col) view.box[axis] = packed.last_of_box[axis] + 1u;
    view.steps[axis] = packed.steps[axis];
    if (axis > 0) view.stride_bytes[axis] = packed.stride_bytes[axis - 1];
  }
  std::copy_n(packed.lower_corner, kMostPixelAxes, view.lower_corner);
  std::copy_n(packed.upper_corner, kMostPixelAxes, view.upper_corner);
  view.channels_per_pixel = packed.channels_per_pixel;
  view.pixels_per_column = packed.pixels_per_column;
  return view;
}

}  // namespace ptx_machine
