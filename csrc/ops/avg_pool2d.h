// Average and adaptive average pooling of channels-last arrays (N, H, W, C) in memory; all outputs
// are overwritten.
//
//   average:  y = sum over the window's pixels inside the image / divisor
//   adaptive: the same with rows floor(p H / P) .. ceil((p + 1) H / P) - 1 for window p, columns
//   alike
// The divisor is `divisor_override`, or the number of pixels of the window inside the image and
// (count_include_pad) its padding.
#pragma once

#include <cstdint>

#include "core/pool2d_shape.h"

namespace neurona {

struct AverageDivisor {
  bool count_include_pad = true;
  int64_t override = 0;  // 0: none
};

void avg_pool2d_forward(const Pool2dShape& shape, const AverageDivisor& divisor, const float* x,
                        float* y);
void avg_pool2d_backward(const Pool2dShape& shape, const AverageDivisor& divisor, const float* dy,
                         float* dx);

// These read n, c, h, w, p and q of the shape.
void adaptive_avg_pool2d_forward(const Pool2dShape& shape, const float* x, float* y);
void adaptive_avg_pool2d_backward(const Pool2dShape& shape, const float* dy, float* dx);

}  // namespace neurona
