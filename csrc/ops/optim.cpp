#include "ops/optim.h"

#include <cmath>

#include "core/errors.h"
#include "kernels/select.h"
#include "ops/optim_options.h"
#include "ops/pieces.h"

namespace neurona {
namespace {

float* at(float* p, int64_t first) { return p ? p + first : nullptr; }

}  // namespace

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

void sgd_step(const SgdOptions& options, const std::vector<SgdTensor>& tensors) {
  const SgdStep step{static_cast<float>(options.lr),
                     static_cast<float>(options.momentum),
                     static_cast<float>(1 - options.dampening),
                     static_cast<float>(options.weight_decay),
                     options.maximize ? -1.0f : 1.0f,
                     options.nesterov,
                     options.first};
  const auto kernel = kernels().optim.sgd;
  for_each_piece(tensors, options.momentum != 0 ? 20 : 12,
                 [&](const SgdTensor& tensor, int64_t first, int64_t count) {
                   kernel(step, count, tensor.p + first, tensor.g + first,
                          at(tensor.buffer, first));
                 });
}

void adam_step(const AdamOptions& options, const std::vector<AdamTensor>& tensors) {
  const double t = static_cast<double>(options.step);
  const double correction1 = 1 - std::pow(options.beta1, t),
               correction2 = 1 - std::pow(options.beta2, t);
  const AdamStep step{
      static_cast<float>(options.beta1),
      static_cast<float>(1 - options.beta1),
      static_cast<float>(options.beta2),
      static_cast<float>(1 - options.beta2),
      static_cast<float>(options.lr / correction1),
      static_cast<float>(1 / std::sqrt(correction2)),
      static_cast<float>(options.eps),
      static_cast<float>(options.decoupled ? 0 : options.weight_decay),
      options.maximize ? -1.0f : 1.0f,
      static_cast<float>(options.decoupled ? 1 - options.lr * options.weight_decay : 1)};
  const auto kernel = kernels().optim.adam;
  for_each_piece(tensors, 28, [&](const AdamTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.m + first, tensor.v + first,
           at(tensor.largest, first));
  });
}

}  // namespace neurona
