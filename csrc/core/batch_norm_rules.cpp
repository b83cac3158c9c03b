#include "core/batch_norm_rules.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace neurona {

void check_batch_norm(const char* op, double momentum, double eps) {
  if (!(momentum >= 0 && momentum <= 1))
    fail_value(op, "momentum must be between 0 and 1, got ", momentum);
  if (!(eps > 0 && std::isfinite(eps))) fail_value(op, "eps must be finite and > 0, got ", eps);
}

void check_variances(const char* op, const float* variance, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c)
    if (variance[c] < 0)
      fail_value(op, "running_var must be >= 0, got ",
                 *std::min_element(variance, variance + channels));
}

}  // namespace neurona
