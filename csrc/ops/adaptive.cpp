#include "ops/adaptive.h"

#include <cmath>

#include "kernels/select.h"
#include "ops/pieces.h"

namespace neurona {
namespace {

AdaptiveStep common_step(const AdaptiveOptions& options) {
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

// 1 - beta^t.
double correction(double beta, int64_t step) {
  return 1 - std::pow(beta, static_cast<double>(step));
}

}  // namespace

void adagrad_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  AdaptiveStep step = common_step(options);
  const double steps_before = static_cast<double>(options.step - 1);
  step.rate = static_cast<float>(options.lr / (1 + steps_before * options.lr_decay));
  const auto kernel = kernels().adaptive.adagrad;
  for_each_piece(tensors, 20, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first);
  });
}

void rmsprop_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = common_step(options);
  const auto kernel = kernels().adaptive.rmsprop;
  for_each_piece(tensors, 24, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second ? tensor.second + first : nullptr);
  });
}

void adadelta_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = common_step(options);
  const auto kernel = kernels().adaptive.adadelta;
  for_each_piece(tensors, 28, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second + first);
  });
}

void adamax_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  AdaptiveStep step = common_step(options);
  step.rate = static_cast<float>(options.lr / correction(options.mean_decay, options.step));
  const auto kernel = kernels().adaptive.adamax;
  for_each_piece(tensors, 28, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second + first);
  });
}

void nadam_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  AdaptiveStep step = common_step(options);
  step.rate = static_cast<float>(options.mean_rate);
  step.gradient_rate = static_cast<float>(options.gradient_rate);
  step.root_correction = static_cast<float>(1 / std::sqrt(correction(options.decay, options.step)));
  const auto kernel = kernels().adaptive.nadam;
  for_each_piece(tensors, 28, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second + first);
  });
}

}  // namespace neurona
