// One optimizer step over all parameters, in place and in one pass, float32; corrections are
// computed in double.
//
//   SGD   g += weight_decay p;  b = momentum b + (1 - dampening) g;  g = b, or g + momentum b
//         (nesterov);  p -= lr g
//   Adam  g += weight_decay p, or p -= lr weight_decay p (AdamW);  m = beta1 m + (1 - beta1) g;
//         v = beta2 v + (1 - beta2) g^2;
//         p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// Kingma and Ba 2015; AdamW: Loshchilov and Hutter 2019; amsgrad (the running maximum of v in place
// of v): Reddi et al. 2018.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ops/optim_rules.h"

namespace neurona {

// One parameter with what belongs to it, all of `size` elements in the same order.
struct SgdTensor {
  int64_t size;
  float* p;
  const float* g;
  float* buffer;  // null when momentum is 0
};

struct AdamTensor {
  int64_t size;
  float* p;
  const float* g;
  float *m, *v, *largest;  // largest is null without amsgrad
};

// The numbers among the options may differ when a noted step is repeated; whether there is momentum
// may not. A device that captures a step keeps the options and reads them before each launch.
void sgd_step(const std::shared_ptr<const SgdOptions>& options,
              const std::vector<SgdTensor>& tensors);
void adam_step(const std::shared_ptr<const AdamOptions>& options,
               const std::vector<AdamTensor>& tensors);

}  // namespace neurona
