#include "ops/conv2d_packed.h"

#include "core/divide.h"
#include "kernels/winograd.h"
#include "ops/conv2d_plan.h"
#include "ops/conv2d_variants.h"

namespace neurona {

namespace {

// For a shape that Winograd's algorithm runs. U holds four times the weights: it is worth keeping
// where it fits into L2 (64 -> 64 channels of 7x7 pixels: 1.7 times as fast), and from memory it
// comes no sooner than it is made (256 channels of 14x14: 1.5 ms for 1.2). Where few tiles of
// output read it, plain sums with packed weights are faster; times of both, one image, the weights
// in memory: 512 channels of 7x7, four tiles, 1.75 and 1.51 ms; 128 channels of 4x4, one tile,
// 0.157 and 0.122 ms; but eight tiles 1.9 and 2.4 ms. All on Zen 5, one thread.
Conv2dVariant plan_winograd(const Conv2dShape& shape) {
  constexpr int64_t kSmallBytes = 1 << 20, kFewTiles = 4;
  const int64_t bytes = kFrequencies * static_cast<int64_t>(sizeof(float)) * shape.c * shape.k;
  if (bytes <= kSmallBytes) return Conv2dVariant::kWinograd;
  const int64_t tile = winograd_tile(shape.r);
  const int64_t tiles = shape.n * divide_up(shape.p, tile) * divide_up(shape.q, tile);
  return tiles <= kFewTiles ? Conv2dVariant::kDirect : Conv2dVariant::kNaive;
}

}  // namespace

Conv2dVariant plan_packed_conv2d(const Conv2dShape& shape) {
  // 1x1: from here on the product packs its weights in passing. 2048 -> 512 channels of 7x7 pixels,
  // one image 1.3 times as fast with packed weights, two 1.2, four 1.1 and 512 -> 2048 not at all.
  constexpr int64_t kFewPixels = 128;
  const Conv2dVariant usual =
      plan_conv2d("conv2d_forward", shape, Conv2dDirection::kForward, nullptr).variant;
  switch (usual) {
    case Conv2dVariant::kDirect: return usual;
    case Conv2dVariant::kWinograd:
    case Conv2dVariant::kWinogradColumns: return plan_winograd(shape);
    case Conv2dVariant::kPointwise:
      return shape.n * shape.p * shape.q <= kFewPixels ? Conv2dVariant::kDirect
                                                       : Conv2dVariant::kNaive;
    default: return Conv2dVariant::kNaive;
  }
}

const float* pack_conv2d_weight(const Conv2dShape& shape, Conv2dVariant variant,
                                PackedWeight& weight) {
  const bool direct = variant == Conv2dVariant::kDirect;
  return weight.in(
      direct ? WeightOrder::kDirect : WeightOrder::kWinograd, shape.groups,
      [&] { return (direct ? conv2d_direct_packed_size : conv2d_winograd_packed_size)(shape); },
      [&](const float* elements, float* packed) {
        (direct ? conv2d_direct_pack : conv2d_winograd_pack)(shape, elements, packed);
      });
}

void conv2d_packed_forward(const Conv2dShape& shape, Conv2dVariant variant, const float* x,
                           const float* packed, const float* bias, TileActivation activation,
                           float* y) {
  if (shape.n == 0) return;
  (variant == Conv2dVariant::kDirect
       ? conv2d_direct_packed_forward
       : conv2d_winograd_packed_forward)(shape, x, packed, bias, activation, y);
}

}  // namespace neurona
