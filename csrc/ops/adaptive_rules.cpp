#include "ops/adaptive_rules.h"

#include <cmath>

namespace neurona {
namespace {

// 1 - beta^t.
double correction(double beta, int64_t step) {
  return 1 - std::pow(beta, static_cast<double>(step));
}

}  // namespace

AdaptiveStep uncorrected_step_of(const AdaptiveOptions& options) {
  AdaptiveStep step{};
  step.rate = static_cast<float>(options.lr);
  step.decay = static_cast<float>(options.decay);
  step.share = static_cast<float>(1 - options.decay);
  step.mean_decay = static_cast<float>(options.mean_decay);
  step.momentum = static_cast<float>(options.momentum);
  step.eps = static_cast<float>(options.eps);
  step.weight_decay = static_cast<float>(options.decoupled ? 0 : options.weight_decay);
  step.sign = options.maximize ? -1.0f : 1.0f;
  step.keep = static_cast<float>(options.decoupled ? 1 - options.lr * options.weight_decay : 1);
  step.eps_inside = options.eps_inside;
  return step;
}

AdaptiveStep adagrad_step_of(const AdaptiveOptions& options) {
  AdaptiveStep step = uncorrected_step_of(options);
  const double steps_before = static_cast<double>(options.step - 1);
  step.rate = static_cast<float>(options.lr / (1 + steps_before * options.lr_decay));
  return step;
}

AdaptiveStep adamax_step_of(const AdaptiveOptions& options) {
  AdaptiveStep step = uncorrected_step_of(options);
  step.rate = static_cast<float>(options.lr / correction(options.mean_decay, options.step));
  return step;
}

AdaptiveStep nadam_step_of(const AdaptiveOptions& options) {
  AdaptiveStep step = uncorrected_step_of(options);
  step.rate = static_cast<float>(options.mean_rate);
  step.gradient_rate = static_cast<float>(options.gradient_rate);
  step.root_correction = static_cast<float>(1 / std::sqrt(correction(options.decay, options.step)));
  return step;
}

}  // namespace neurona
