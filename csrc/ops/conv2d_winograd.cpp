// Convolutions forward and backward data by Winograd's algorithm, in either order of its steps.
#include "ops/conv2d_variants.h"
#include "ops/winograd_convolution.h"

namespace neurona {
namespace {

WinogradConvolution forward(const Conv2dShape& shape, const float* x, const float* weight,
                            const float* bias, TileActivation activation, float* y) {
  return {.source = {x, shape.h, shape.w, shape.c, shape.c},
          .batch = shape.n,
          .padding = shape.padding,
          .out = y,
          .out_height = shape.p,
          .out_width = shape.q,
          .out_channels = shape.k,
          .taps = shape.r,
          .weight = weight,
          .channel_stride = shape.r * shape.r,
          .out_channel_stride = shape.r * shape.r * shape.c,
          .turned = false,
          .bias = bias,
          .activation = activation};
}

// What lies outside of dy is zero: a padding of taps - 1 pixels, less the image's.
WinogradConvolution backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const float* bias, float* dx) {
  return {.source = {dy, shape.p, shape.q, shape.k, shape.k},
          .batch = shape.n,
          .padding = {shape.r - 1 - shape.padding[0], shape.r - 1 - shape.padding[1]},
          .out = dx,
          .out_height = shape.h,
          .out_width = shape.w,
          .out_channels = shape.c,
          .taps = shape.r,
          .weight = weight,
          .channel_stride = shape.r * shape.r * shape.c,
          .out_channel_stride = shape.r * shape.r,
          .turned = true,
          .bias = bias,
          .activation = TileActivation::kNone};
}

}  // namespace

void conv2d_winograd_forward(const Conv2dShape& shape, const float* x, const float* weight,
                             const float* bias, TileActivation activation, float* y) {
  winograd_by_tiles(forward(shape, x, weight, bias, activation, y));
}

int64_t conv2d_winograd_packed_size(const Conv2dShape& shape) {
  return winograd_weights_size(
      forward(shape, nullptr, nullptr, nullptr, TileActivation::kNone, nullptr));
}

void conv2d_winograd_pack(const Conv2dShape& shape, const float* weight, float* packed) {
  winograd_make_weights(forward(shape, nullptr, weight, nullptr, TileActivation::kNone, nullptr),
                        packed);
}

void conv2d_winograd_packed_forward(const Conv2dShape& shape, const float* x, const float* packed,
                                    const float* bias, TileActivation activation, float* y) {
  winograd_by_tiles(forward(shape, x, nullptr, bias, activation, y), packed);
}

void conv2d_winograd_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                   const float* bias, float* dx) {
  winograd_by_tiles(backward_data(shape, dy, weight, bias, dx));
}

void conv2d_winograd_columns_forward(const Conv2dShape& shape, const float* x, const float* weight,
                                     const float* bias, TileActivation activation, float* y) {
  winograd_by_columns(forward(shape, x, weight, bias, activation, y));
}

void conv2d_winograd_columns_backward_data(const Conv2dShape& shape, const float* dy,
                                           const float* weight, const float* bias, float* dx) {
  winograd_by_columns(backward_data(shape, dy, weight, bias, dx));
}

}  // namespace neurona
