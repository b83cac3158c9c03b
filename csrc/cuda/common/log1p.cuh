// ln(1 + e) where e is exp(-|x|), as softplus and the losses of logits need it.
#pragma once

#include "cuda/device.h"

namespace neurona {

// For 0 <= e <= 1, within 2.5 units of roundoff; NaN stays. log1pf(), which takes any number, has
// three times as many instructions. ln(1 + e) / e is 1 + e g(e), with g by interpolation in the 9
// Chebyshev points of that range.
__device__ inline float log1p_of_unit(float e) {
  float series = -0.0044662114f;
  series = fmaf(series, e, 0.025224054f);
  series = fmaf(series, e, -0.066757724f);
  series = fmaf(series, e, 0.11561845f);
  series = fmaf(series, e, -0.15847565f);
  series = fmaf(series, e, 0.19854106f);
  series = fmaf(series, e, -0.24986526f);
  series = fmaf(series, e, 0.33332843f);
  series = fmaf(series, e, -0.49999997f);
  series = fmaf(series, e, 1.0f);
  return e * series;
}

}  // namespace neurona
