// Options of the optimizers that adapt the step of each element, and the factors of a step,
// computed in double.
#pragma once

#include <cstdint>

#include "kernels/adaptive.h"

namespace neurona {

struct AdaptiveOptions {
  double lr = 0, eps = 0, weight_decay = 0;
  double decay = 0;       // alpha, rho or beta2
  double mean_decay = 0;  // beta1
  double momentum = 0, lr_decay = 0;
  double gradient_rate = 0, mean_rate = 0;
  bool decoupled = false, maximize = false, eps_inside = false;
  int64_t step = 1;  // counts from 1
};

// What the kernels multiply by. RMSprop and Adadelta do not correct for the number of steps.
AdaptiveStep uncorrected_step_of(const AdaptiveOptions& options);
AdaptiveStep adagrad_step_of(const AdaptiveOptions& options);
AdaptiveStep adamax_step_of(const AdaptiveOptions& options);
AdaptiveStep nadam_step_of(const AdaptiveOptions& options);

}  // namespace neurona
