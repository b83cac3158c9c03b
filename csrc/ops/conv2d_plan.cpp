#include "ops/conv2d_plan.h"

#include <algorithm>
#include <atomic>

#include "core/divide.h"
#include "core/errors.h"
#include "kernels/winograd.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

std::atomic<bool> fast{true};

// Why a variant cannot run a shape, or null when it can.
const char* objection(const Conv2dShape& shape, Conv2dDirection direction, Conv2dVariant variant) {
  switch (variant) {
    case Conv2dVariant::kScatter:
      if (direction != Conv2dDirection::kBackwardData) return "it exists for backward_data only";
      return shape.groups == 1 && shape.dilation[1] == 1
                 ? nullptr
                 : "it needs groups = 1 and dilation 1 along the width";
    case Conv2dVariant::kPointwise:
      if (shape.r != 1 || shape.s != 1) return "it needs a 1x1 kernel";
      if (shape.stride != Pair{1, 1} || shape.padding != Pair{0, 0})
        return "it needs stride 1 and no padding";
      if (shape.groups != 1) return "it needs groups = 1";
      // A transposed convolution with output_padding has an image larger than what the taps cover.
      if (shape.p != shape.h || shape.q != shape.w) return "it needs an output of the image's size";
      return nullptr;
    case Conv2dVariant::kDepthwise:
      return shape.groups == shape.c && shape.k == shape.c
                 ? nullptr
                 : "it needs groups = input channels = output channels";
    case Conv2dVariant::kNarrow:
      if (direction == Conv2dDirection::kBackwardData) return "it has no backward_data";
      return conv2d_narrow_objection(shape);
    case Conv2dVariant::kWinograd:
    case Conv2dVariant::kWinogradColumns:
      if (shape.r != shape.s || (shape.r != 3 && shape.r != 5) || shape.stride != Pair{1, 1} ||
          shape.dilation != Pair{1, 1} || shape.groups != 1)
        return "it needs a 3x3 or 5x5 kernel, stride 1, dilation 1 and groups = 1";
      if (direction == Conv2dDirection::kBackwardData &&
          (shape.padding[0] >= shape.r || shape.padding[1] >= shape.s))
        return "backward, it needs a padding smaller than the kernel";
      return nullptr;
    case Conv2dVariant::kIm2col: return shape.groups == 1 ? nullptr : "it needs groups = 1";
    default: return nullptr;
  }
}

int64_t winograd_tiles(const Conv2dShape& shape, int64_t height, int64_t width) {
  const int64_t tile = winograd_tile(shape.r);
  return divide_up(height, tile) * divide_up(width, tile);
}

// The direct gradient of an image runs all taps at each of its pixels, also those that no output
// used: with 5x5 taps and 12x12 pixels, of 8x8 outputs, more than half of them. From 1.4 pixels per
// output on, spreading the outputs is the faster way (24x24 pixels, 5x5 taps, 16 to 24 channels:
// 1.2 to 1.35 times as fast as Winograd's; 4x4 taps, 24 channels of 20x20: 1.45 times as direct).
bool few_outputs(const Conv2dShape& shape) {
  return 10 * shape.h * shape.w >= 14 * shape.p * shape.q * shape.stride[0] * shape.stride[1];
}

// Whether Winograd's algorithm is the faster one (AVX-512, one and two threads, 1 to 32 images of 3
// to 28 pixels with 8 to 256 channels). A tile costs the same however much of it is inside: less
// than 9/16 (6 of 8 pixels in each direction, or 3 of 4) is too little. With few channels the
// transforms, whose work grows with C + K, cost what the products save; with 5x5 taps four outputs
// share them in the place of 16 (16 -> 16 channels: 1.0 times as fast, 16 -> 32: 1.3 times, 64 ->
// 64: 1.9 times; 3x3 does better on large images only). Forward and backward data do not count the
// images: a sample must give the same bits alone and in a batch.
bool winograd_pays(const Conv2dShape& shape, Conv2dDirection direction) {
  const int64_t channels = std::min(shape.c, shape.k);
  const bool large = shape.r == 5;
  if (channels < 16 || (large && shape.c + shape.k < 48)) return false;
  if (direction == Conv2dDirection::kBackwardWeight)
    return channels >= 128 || shape.n * winograd_tiles(shape, shape.p, shape.q) >= (large ? 16 : 8);
  const bool data = direction == Conv2dDirection::kBackwardData;
  const int64_t height = data ? shape.h : shape.p, width = data ? shape.w : shape.q;
  const int64_t tile = winograd_tile(shape.r),
                whole = tile * tile * winograd_tiles(shape, height, width);
  if (16 * height * width < 9 * whole) return false;
  // From 32 channels on Winograd's is the faster one there too (12x12: 1.15 to 1.3 times).
  if (large) return !data || shape.c >= 32 || !few_outputs(shape);
  return channels >= 32 || std::min(height, width) >= 16;
}

// In which order: the transformed weights are made once and kept, or made where they are used. The
// factors are the channel pairs per tile from which the latter is the faster one (two threads, 256
// channels of 14x14: 8 to 64 images 4 to 26 %; one thread, 64 to 256 channels: -7 to 12 %).
Conv2dPlan plan_winograd(const Conv2dShape& shape, Conv2dDirection direction) {
  const bool data = direction == Conv2dDirection::kBackwardData;
  const int64_t tiles = shape.n * (data ? winograd_tiles(shape, shape.h, shape.w)
                                        : winograd_tiles(shape, shape.p, shape.q));
  const int64_t pairs = shape.c * shape.k;
  const bool few_tiles = direction == Conv2dDirection::kBackwardWeight
                             ? pairs > 1000 * tiles
                             : pairs > 60 * tiles || tiles < 16;
  const bool large = shape.r == 5;
  if (few_tiles)
    return {
        Conv2dVariant::kWinogradColumns,
        large ? "5x5, stride 1, many channels: 36 % of the products, a few columns at a time"
              : "3x3, stride 1, many channels: a quarter of the products, a few columns at a time"};
  return {Conv2dVariant::kWinograd, large ? "5x5, stride 1: 36 % of the products"
                                          : "3x3, stride 1: a quarter of the products"};
}

}  // namespace

void set_fast_convolutions(bool allowed) { fast = allowed; }
bool fast_convolutions() { return fast; }

Conv2dPlan plan_conv2d(const char* op, const Conv2dShape& shape, Conv2dDirection direction,
                       const char* variant) {
  if (variant) {
    const Conv2dVariant asked = named_variant(op, variant);
    if (const char* reason = objection(shape, direction, asked))
      fail_value(op, "variant '", variant, "' cannot run this shape: ", reason);
    return {asked, "asked for"};
  }
  if (shape.groups > 1 && !objection(shape, direction, Conv2dVariant::kDepthwise))
    return {Conv2dVariant::kDepthwise,
            "one filter per channel: no product to block, vectors along the channels"};
  if (!objection(shape, direction, Conv2dVariant::kNarrow))
    return {Conv2dVariant::kNarrow,
            "one input channel, few output channels: several pixels share a vector"};
  if (fast && !objection(shape, direction, Conv2dVariant::kWinograd) &&
      winograd_pays(shape, direction))
    return plan_winograd(shape, direction);
  // One product over all pixels passes over dW once per block of 512 of them; in chunks of pixels a
  // dW that fits in L2 stays there. 64 -> 256 channels at 56x56, batch 16: 9 ms instead of 22;
  // 1024 -> 256 channels: 25 ms instead of 12.
  constexpr int64_t kSmallWeight = (256 << 10) / static_cast<int64_t>(sizeof(float));
  if (direction == Conv2dDirection::kBackwardWeight && shape.groups == 1 &&
      shape.weight_size() <= kSmallWeight)
    return {Conv2dVariant::kDirect, "a small gradient: chunks of pixels, added in order"};
  if (!objection(shape, direction, Conv2dVariant::kPointwise))
    return {Conv2dVariant::kPointwise,
            "1x1, stride 1: the images are already the matrix of a product"};
  if (direction == Conv2dDirection::kBackwardData && shape.r * shape.s > 1 &&
      !objection(shape, direction, Conv2dVariant::kScatter)) {
    // The direct gradient has C columns per tile and wastes the vector's other lanes; spread out it
    // has S * C of them.
    if (shape.c < 12)
      return {Conv2dVariant::kScatter,
              "few input channels: the columns of a tile are taps times channels"};
    if (few_outputs(shape))
      return {Conv2dVariant::kScatter, "few outputs for the image's size: each one is spread out"};
  }
  return {Conv2dVariant::kDirect, "matrix tiles on rows of pixels"};
}

}  // namespace neurona
