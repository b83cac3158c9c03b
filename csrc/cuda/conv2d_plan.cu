// Which algorithm runs a convolution on a GPU: a function of the shape alone, as on the CPU.
#include "ops/conv2d_plan.h"

#include <algorithm>
#include <cstring>

#include "core/errors.h"

namespace neurona {
namespace {

bool fast = true;

// The gradient of an image is one product for each remainder of a pixel's place by the stride.
constexpr int64_t kMostRemainders = 16;

// Pixels of all images, and sums of two places in one image, in elements, have 32 bits
// (product/patches.cuh); with the padding, and of what is read and of what is written, so that this
// holds for the gradients as well.
bool places_fit(const Conv2dShape& shape) {
  constexpr double kMostPixels = 0x7fff0000, kMostElements = 0x3fffffff;
  const double height = static_cast<double>(shape.h) + 2.0 * static_cast<double>(shape.padding[0]),
               width = static_cast<double>(shape.w) + 2.0 * static_cast<double>(shape.padding[1]);
  return static_cast<double>(shape.n) * height * width <= kMostPixels &&
         height * width * static_cast<double>(std::max(shape.c, shape.k)) <= kMostElements;
}

// Why a variant cannot run a shape, or null when it can.
const char* objection(const Conv2dShape& shape, Conv2dDirection direction, Conv2dVariant variant) {
  if (variant == Conv2dVariant::kNaive) return nullptr;
  if (variant == Conv2dVariant::kDepthwise)
    return shape.groups == shape.c && shape.k == shape.c
               ? nullptr
               : "it needs groups = input channels = output channels";
  if (variant == Conv2dVariant::kDirect) {
    if (!places_fit(shape))
      return "it needs images of fewer than 2^30 elements with their padding, 2^31 pixels in all";
    return direction != Conv2dDirection::kBackwardData ||
                   shape.stride[0] * shape.stride[1] <= kMostRemainders
               ? nullptr
               : "backward, it needs strides whose product is at most 16";
  }
  return "it does not exist on a GPU";
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
    return {Conv2dVariant::kDepthwise, "one filter per channel: threads along the channels"};
  if (!objection(shape, direction, Conv2dVariant::kDirect))
    return {Conv2dVariant::kDirect, "a product over patches that are never written down"};
  return {Conv2dVariant::kNaive, objection(shape, direction, Conv2dVariant::kDirect)};
}

}  // namespace neurona
