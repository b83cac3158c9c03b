// One optimizer step over n contiguous elements, in place; the formulas are in ops/optim.h.
#pragma once

#include <stdint.h>

namespace neurona {

struct SgdStep {
  float lr, momentum, gradient_share;  // gradient_share = 1 - dampening
  float weight_decay, sign;            // sign = -1 maximizes
  bool nesterov, first;                // first: the buffer is not read, but set to the gradient
};

struct AdamStep {
  float beta1, gradient_share;  // gradient_share = 1 - beta1
  float beta2, square_share;    // square_share = 1 - beta2
  float step_size;              // lr / (1 - beta1^t)
  float root_correction;        // 1 / sqrt(1 - beta2^t)
  float eps, weight_decay, sign;
  float keep;  // what decoupled weight decay leaves of a parameter: 1 - lr weight_decay, else 1
};

struct OptimKernels {
  // `buffer` is null when momentum is 0.
  void (*sgd)(const SgdStep& step, int64_t n, float* p, const float* g, float* buffer);
  // `largest` is amsgrad's running maximum of v, or null.
  void (*adam)(const AdamStep& step, int64_t n, float* p, const float* g, float* m, float* v,
               float* largest);
};

}  // namespace neurona
