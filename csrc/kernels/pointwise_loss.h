// Losses that compare x with a target element by element, their sum and their gradients; the
// formulas are in ops/pointwise_loss.h.
#pragma once

#include <stdint.h>

namespace neurona {

enum class PointwiseLoss : int32_t {
  kMse,
  kL1,
  kHuber,
  kSmoothL1,
  kHinge,
  kBce,
  kBceWithLogits,
  kKlDiv,
  kKlDivLog
};
constexpr int kPointwiseLossCount = 9;

// Contiguous arrays of one length; an output that is null is not asked for.
struct PointwiseLossArrays {
  const float *x, *target;
  const float* pos_weight;     // of kBceWithLogits; null means 1
  bool pos_weight_is_a_value;  // one for all elements
  float *losses, *dx, *dtarget;
  float parameter;       // delta, beta or margin
  float gradient_scale;  // multiplies dx and dtarget
};

struct PointwiseLossKernels {
  // Overwrites elements begin .. end - 1 of the outputs and returns the sum of their losses.
  double (*sum[kPointwiseLossCount])(const PointwiseLossArrays& arrays, int64_t begin, int64_t end);
};

}  // namespace neurona
