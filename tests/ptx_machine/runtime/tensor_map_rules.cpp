#include "runtime/tensor_map_rules.h"

#include <string>

namespace ptx_machine {
namespace {

constexpr uint64_t kMostExtent = uint64_t{1} << 32, kStrideEnd = uint64_t{1} << 40;
constexpr uint32_t kMostBox = 256, kMostChannels = 256, kMostPixels = 1024, kMostStep = 8;
constexpr size_t kAlignment = 16;

void rule(bool is_kept, const char* words) {
  if (!is_kept) throw BrokenRule(words);
}

// What holds a line of a tile whose bytes are permuted; 0 for any.
size_t swizzle_span(CUtensorMapSwizzle swizzle) {
  switch (swizzle) {
    case CU_TENSOR_MAP_SWIZZLE_NONE: return 0;
    case CU_TENSOR_MAP_SWIZZLE_32B: return 32;
    case CU_TENSOR_MAP_SWIZZLE_64B: return 64;
    case CU_TENSOR_MAP_SWIZZLE_128B: return 128;
    default: throw BrokenRule("the swizzle must be one of compute capability 9.0");
  }
}

bool is_float(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ: return true;
    default: return false;
  }
}

void check_tensor(const TensorMapView& view) {
  rule(element_bytes(view.type) > 0, "the type must be one of compute capability 9.0");
  rule(view.address % kAlignment == 0, "the address must be a multiple of 16");
  for (unsigned axis = 0; axis < view.rank; ++axis) {
    rule(view.extents[axis] > 0 && view.extents[axis] <= kMostExtent, "extents must be 1 to 2^32");
    // That of the innermost axis is ignored: it is always 1.
    rule(axis == 0 || (view.steps[axis] > 0 && view.steps[axis] <= kMostStep),
         "element strides must be 1 to 8");
  }
  for (unsigned axis = 1; axis < view.rank; ++axis) {
    rule(view.stride_bytes[axis] % kAlignment == 0, "strides must be multiples of 16 bytes");
    rule(view.stride_bytes[axis] < kStrideEnd, "strides must be below 2^40 bytes");
    rule(axis == 1 || view.stride_bytes[axis] >= view.extents[axis - 1],
         "strides must not be below the extents that they step over");
  }
  rule(view.fill == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE || is_float(view.type),
       "only floating-point numbers can be filled with NaN");
}

void check_line(const TensorMapView& view, size_t elements) {
  const size_t bytes = elements * element_bytes(view.type), span = swizzle_span(view.swizzle);
  rule(span == 0 || bytes <= span, "a line of a tile must not be longer than the swizzle's span");
}

}  // namespace

void check_tiled(const TensorMapView& view) {
  rule(view.rank >= 1 && view.rank <= kMostAxes, "the rank must be 1 to 5");
  check_tensor(view);
  for (unsigned axis = 0; axis < view.rank; ++axis)
    rule(view.box[axis] > 0 && view.box[axis] <= kMostBox, "a tile's extents must be 1 to 256");
  rule(view.box[0] * element_bytes(view.type) % kAlignment == 0,
       "a line of a tile must have a multiple of 16 bytes");
  check_line(view, view.box[0]);
}

void check_im2col(const TensorMapView& view) {
  rule(view.rank >= 3 && view.rank <= kMostAxes, "the rank must be 3 to 5");
  check_tensor(view);
  // The corners of all pixel axes share the bits that one has alone.
  const int end = view.rank == 3 ? 32768 : view.rank == 4 ? 128 : 16;
  for (unsigned axis = 0; axis < view.rank - 2; ++axis) {
    const int lower = view.lower_corner[axis], upper = view.upper_corner[axis];
    rule(lower >= -end && lower < end && upper >= -end && upper < end,
         "the corners must be in the range that the rank leaves them");
    const auto pixels = static_cast<int64_t>(view.extents[axis + 1]) + upper - lower;
    rule(pixels > 0, "there must be pixels between the corners");
  }
  rule(view.channels_per_pixel <= kMostChannels, "256 channels of a pixel are the most");
  rule(view.pixels_per_column <= kMostPixels, "1024 pixels of a column are the most");
  check_line(view, view.channels_per_pixel);
}

}  // namespace ptx_machine
