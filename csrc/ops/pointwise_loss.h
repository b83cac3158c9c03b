// Losses l(x, t) of each element, with their sum or mean and both gradients in one pass.
//
//   mse              d^2                                               d = x - t
//   l1               |d|                                               slope 0 at d = 0
//   huber            d^2 / 2 where |d| < delta, else delta (|d| - delta / 2)
//   smooth_l1        d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; beta 0 gives l1
//   hinge            max(0, margin - t x)                              slope 0 at the kink
//   bce              -(t log x + (1 - t) log(1 - x))                   logarithms are -100 at least
//   bce_with_logits  (1 - t) x + (1 + (w - 1) t) softplus(-x)          w weighs the positives
//   kl_div           t (log t - x)                                     0 log 0 = 0
//   kl_div_log       e^t (t - x)
#pragma once

#include <cstdint>

#include "kernels/pointwise_loss.h"
#include "ops/cross_entropy.h"

namespace neurona {

// The arrays hold `count` elements. Writes `count` losses for kNone and one otherwise, and the
// gradients that are not null, for an upstream gradient of 1; `losses` and `gradient_scale` of
// `arrays` are set here. The order of the sum depends on the count alone.
void pointwise_loss(PointwiseLoss loss, PointwiseLossArrays arrays, int64_t count,
                    Reduction reduction, float* result);

}  // namespace neurona
