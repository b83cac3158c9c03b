// One step of an optimizer that adapts the step of each element, over all parameters, in place and
// in one pass, float32; corrections are computed in double. Weight decay adds to g.
//
//   Adagrad   G += g^2;  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(G) + eps)
//   RMSprop   G = alpha G + (1 - alpha) g^2;  q = g / (sqrt(G) + eps);  b = momentum b + q;
//             p -= lr b, or lr q without momentum
//   Adadelta  G = rho G + (1 - rho) g^2;  d = sqrt(D + eps) / sqrt(G + eps) g;
//             D = rho D + (1 - rho) d^2;  p -= lr d
//   Adamax    m = b1 m + (1 - b1) g;  u = max(b2 u, |g| + eps);  p -= lr / (1 - b1^t) m / u
//   NAdam     m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;
//             p -= (gradient_rate g + mean_rate m) / (sqrt(v) / sqrt(1 - b2^t) + eps)
//
// With eps_inside the denominator of the first two is sqrt(G + eps). Duchi, Hazan and Singer 2011;
// Tieleman and Hinton 2012; Zeiler 2012; Kingma and Ba 2015; Dozat 2016.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/adaptive_rules.h"

namespace neurona {

// One parameter with its state, all of `size` elements in the same order.
struct AdaptiveTensor {
  int64_t size;
  float* p;
  const float* g;
  float *first, *second;  // second is null for Adagrad, and for RMSprop without momentum
};

void adagrad_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors);
void rmsprop_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors);
void adadelta_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors);
void adamax_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors);
void nadam_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors);

}  // namespace neurona
