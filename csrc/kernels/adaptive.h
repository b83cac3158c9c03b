// One step of an optimizer that adapts the step of each element, over n contiguous elements, in
// place; the formulas are in ops/adaptive.h.
#pragma once

#include <stdint.h>

namespace neurona {

struct AdaptiveStep {
  float rate;                  // lr, with what corrects it for the number of steps
  float decay, share;          // of the second moment; share = 1 - decay, or 1 for a plain sum
  float mean_decay, momentum;  // of the first moment, and of the buffer of steps
  float gradient_rate;         // NAdam's, of the gradient itself
  float root_correction;       // 1 / sqrt(1 - beta2^t)
  float eps, weight_decay, sign;
  float keep;  // what decoupled weight decay leaves of a parameter, else 1
  bool eps_inside;
};

struct AdaptiveKernels {
  void (*adagrad)(const AdaptiveStep& step, int64_t n, float* p, const float* g, float* sum);
  // `buffer` is null without momentum.
  void (*rmsprop)(const AdaptiveStep& step, int64_t n, float* p, const float* g, float* square,
                  float* buffer);
  void (*adadelta)(const AdaptiveStep& step, int64_t n, float* p, const float* g, float* square,
                   float* delta);
  void (*adamax)(const AdaptiveStep& step, int64_t n, float* p, const float* g, float* mean,
                 float* largest);
  void (*nadam)(const AdaptiveStep& step, int64_t n, float* p, const float* g, float* mean,
                float* square);
};

}  // namespace neurona
