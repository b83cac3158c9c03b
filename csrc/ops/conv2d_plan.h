// Which algorithm runs a convolution: a function of the shape and the width of a vector alone,
// printable, overridable.
#pragma once

#include <string>

#include "core/conv2d_shape.h"

namespace neurona {

enum class Conv2dDirection { kForward, kBackwardData, kBackwardWeight };

enum class Conv2dVariant {
  kNaive,   // seven loops, sums in double: the truth in C++, legal for every shape
  kDirect,  // matrix tiles on rows of pixels, no copy of the patches (indirect GEMM, Dukhan 2019)
  kIm2col,  // patches copied into a matrix, then one product (Chellapilla et al. 2006)
  kPointwise,        // 1x1: the images are the matrix
  kScatter,          // backward data only: each output pixel's gradient is spread over what it read
  kDepthwise,        // one filter per channel, vectors along the channels
  kNarrow,           // one input channel, few output channels: a vector holds several pixels
  kWinograd,         // 3x3 or 5x5, stride 1: a quarter of the products, more rounding error
  kWinogradColumns,  // the same in another order, for many channels and few pixels
};

struct Conv2dPlan {
  Conv2dVariant variant;
  const char* reason;
};

// `variant` is null for the default, or a name. ValueError if there is no such name or it is not
// legal for this shape.
Conv2dPlan plan_conv2d(const char* op, const Conv2dShape& shape, Conv2dDirection direction,
                       const char* variant);

// Whether the default may be an algorithm that rounds more than a plain sum of products does; it
// may unless this was told otherwise. An algorithm asked for by name runs either way.
void set_fast_convolutions(bool fast);
bool fast_convolutions();

const char* variant_name(Conv2dVariant variant);
std::string plan_text(const Conv2dShape& shape, Conv2dDirection direction, const Conv2dPlan& plan);

}  // namespace neurona
