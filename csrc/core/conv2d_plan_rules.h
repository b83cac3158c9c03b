// The names of the algorithms for a convolution, and how a plan is printed.
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

const char* variant_name(Conv2dVariant variant);
// ValueError if no variant has this name.
Conv2dVariant named_variant(const char* op, const char* name);
std::string plan_text(const Conv2dShape& shape, Conv2dDirection direction, const Conv2dPlan& plan);

}  // namespace neurona
