// Forward and backward-data passes as tap convolutions; see conv2d_taps.h.
#include <algorithm>

#include "ops/conv2d_taps.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

std::vector<Tap> forward_taps(const Conv2dShape& shape, int axis) {
  std::vector<Tap> taps;
  for (int64_t i = 0; i < (axis == 0 ? shape.r : shape.s); ++i)
    taps.push_back({i * shape.dilation[axis] - shape.padding[axis], i});
  return taps;
}

// The taps through which input positions phase, phase + stride, ... are read, with the output
// position relative to the grid's: h = out * stride + tap * dilation - padding, solved for out.
std::vector<Tap> phase_taps(const Conv2dShape& shape, int axis, int64_t phase) {
  std::vector<Tap> taps;
  for (int64_t i = 0; i < (axis == 0 ? shape.r : shape.s); ++i) {
    const int64_t distance = phase + shape.padding[axis] - i * shape.dilation[axis];
    if (distance % shape.stride[axis] == 0) taps.push_back({distance / shape.stride[axis], i});
  }
  std::reverse(taps.begin(), taps.end());  // a higher tap reads an earlier output
  return taps;
}

// A group of a forward pass; `weight` and `bias` are the group's own.
TapConvolution forward_group(const Conv2dShape& shape, int64_t group, const float* x,
                             const float* weight, const float* bias, TileActivation activation,
                             float* y) {
  const int64_t group_c = shape.group_c(), kernel_size = shape.r * shape.s;
  return {.source = {x + group * group_c, shape.h, shape.w, shape.c, group_c},
          .source_image = shape.h * shape.w * shape.c,
          .batch = shape.n,
          .rows = forward_taps(shape, 0),
          .columns = forward_taps(shape, 1),
          .step = shape.stride,
          .out = y + group * shape.group_k(),
          .out_image = shape.p * shape.q * shape.k,
          .out_row = shape.q * shape.k,
          .out_pixel = shape.k,
          .grid_rows = shape.p,
          .grid_columns = shape.q,
          .out_channels = shape.group_k(),
          .weight = weight,
          .channel_stride = kernel_size,
          .out_channel_stride = group_c * kernel_size,
          .kernel_width = shape.s,
          .bias = bias,
          .activation = activation};
}

}  // namespace

void conv2d_direct_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y) {
  const int64_t group_size = shape.weight_size() / shape.groups;
  for (int64_t g = 0; g < shape.groups; ++g)
    run_taps(forward_group(shape, g, x, weight + g * group_size,
                           bias ? bias + g * shape.group_k() : nullptr, activation, y));
}

int64_t conv2d_direct_packed_size(const Conv2dShape& shape) {
  return shape.groups * packed_taps_size(forward_group(shape, 0, nullptr, nullptr, nullptr,
                                                       TileActivation::kNone, nullptr));
}

void conv2d_direct_pack(const Conv2dShape& shape, const float* weight, float* packed) {
  const int64_t group_size = shape.weight_size() / shape.groups,
                packed_size = conv2d_direct_packed_size(shape) / shape.groups;
  for (int64_t g = 0; g < shape.groups; ++g)
    pack_taps(forward_group(shape, g, nullptr, weight + g * group_size, nullptr,
                            TileActivation::kNone, nullptr),
              packed + g * packed_size);
}

void conv2d_direct_packed_forward(const Conv2dShape& shape, const float* x, const float* packed,
                                  const float* bias, TileActivation activation, float* y) {
  const int64_t packed_size = conv2d_direct_packed_size(shape) / shape.groups;
  for (int64_t g = 0; g < shape.groups; ++g) {
    TapConvolution group = forward_group(
        shape, g, x, nullptr, bias ? bias + g * shape.group_k() : nullptr, activation, y);
    group.packed = packed + g * packed_size;
    run_taps(group);
  }
}

void conv2d_direct_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const float* bias, float* dx) {
  const int64_t group_c = shape.group_c(), group_k = shape.group_k(),
                kernel_size = shape.r * shape.s;
  for (int64_t g = 0; g < shape.groups; ++g)
    for (int64_t phase_h = 0; phase_h < std::min(shape.stride[0], shape.h); ++phase_h)
      for (int64_t phase_w = 0; phase_w < std::min(shape.stride[1], shape.w); ++phase_w)
        run_taps({.source = {dy + g * group_k, shape.p, shape.q, shape.k, group_k},
                  .source_image = shape.p * shape.q * shape.k,
                  .batch = shape.n,
                  .rows = phase_taps(shape, 0, phase_h),
                  .columns = phase_taps(shape, 1, phase_w),
                  .step = {1, 1},
                  .out = dx + (phase_h * shape.w + phase_w) * shape.c + g * group_c,
                  .out_image = shape.h * shape.w * shape.c,
                  .out_row = shape.stride[0] * shape.w * shape.c,
                  .out_pixel = shape.stride[1] * shape.c,
                  .grid_rows = (shape.h - phase_h - 1) / shape.stride[0] + 1,
                  .grid_columns = (shape.w - phase_w - 1) / shape.stride[1] + 1,
                  .out_channels = group_c,
                  .weight = weight + g * group_k * group_c * kernel_size,
                  .channel_stride = group_c * kernel_size,
                  .out_channel_stride = kernel_size,
                  .kernel_width = shape.s,
                  .bias = bias ? bias + g * group_c : nullptr,
                  .activation = TileActivation::kNone});
}

}  // namespace neurona
