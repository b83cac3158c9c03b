#include "ops/optim_rules.h"

#include <cmath>

#include "core/errors.h"

namespace neurona {

void check_not_negative(const char* op, const char* name, double value) {
  if (!(value >= 0 && std::isfinite(value)))
    fail_value(op, name, " must be finite and >= 0, got ", value);
}

void check_beta(const char* op, const char* name, double value) {
  if (!(value >= 0 && value < 1)) fail_value(op, name, " must be in [0, 1), got ", value);
}

void check_options(const char* op, const SgdOptions& options) {
  check_not_negative(op, "lr", options.lr);
  check_not_negative(op, "momentum", options.momentum);
  if (!std::isfinite(options.dampening))
    fail_value(op, "dampening must be finite, got ", options.dampening);
  check_not_negative(op, "weight_decay", options.weight_decay);
  if (options.nesterov && (options.momentum == 0 || options.dampening != 0))
    fail_value(op, "nesterov must have momentum > 0 and dampening == 0, got momentum=",
               options.momentum, ", dampening=", options.dampening);
}

void check_options(const char* op, const AdamOptions& options) {
  check_not_negative(op, "lr", options.lr);
  if (options.step < 1) fail_value(op, "step must be >= 1, got ", options.step);
  check_beta(op, "beta1", options.beta1);
  check_beta(op, "beta2", options.beta2);
  check_not_negative(op, "eps", options.eps);
  check_not_negative(op, "weight_decay", options.weight_decay);
}

SgdStep step_of(const SgdOptions& options) {
  return {static_cast<float>(options.lr),
          static_cast<float>(options.momentum),
          static_cast<float>(1 - options.dampening),
          static_cast<float>(options.weight_decay),
          options.maximize ? -1.0f : 1.0f,
          options.nesterov,
          options.first};
}

AdamStep step_of(const AdamOptions& options) {
  const double t = static_cast<double>(options.step);
  const double correction1 = 1 - std::pow(options.beta1, t),
               correction2 = 1 - std::pow(options.beta2, t);
  return {static_cast<float>(options.beta1),
          static_cast<float>(1 - options.beta1),
          static_cast<float>(options.beta2),
          static_cast<float>(1 - options.beta2),
          static_cast<float>(options.lr / correction1),
          static_cast<float>(1 / std::sqrt(correction2)),
          static_cast<float>(options.eps),
          static_cast<float>(options.decoupled ? 0 : options.weight_decay),
          options.maximize ? -1.0f : 1.0f,
          static_cast<float>(options.decoupled ? 1 - options.lr * options.weight_decay : 1)};
}

}  // namespace neurona
