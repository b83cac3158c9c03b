// Options of SGD and Adam: their checks, and the factors of a step, computed in double.
#pragma once

#include <cstdint>

#include "kernels/optim.h"

namespace neurona {

struct SgdOptions {
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize, first;
};

struct AdamOptions {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled, maximize;
  int64_t step;  // counts from 1
};

// ValueError when an option is out of range. The first two are for the options of all optimizers.
void check_not_negative(const char* op, const char* name, double value);
void check_beta(const char* op, const char* name, double value);
void check_options(const char* op, const SgdOptions& options);
void check_options(const char* op, const AdamOptions& options);

// What the kernels multiply by; the corrections for the number of steps are in it.
SgdStep step_of(const SgdOptions& options);
AdamStep step_of(const AdamOptions& options);

}  // namespace neurona
