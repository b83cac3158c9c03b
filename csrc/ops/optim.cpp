#include "ops/optim.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

void check_not_negative(const char* op, const char* name, double value) {
  if (!(value >= 0 && std::isfinite(value)))
    fail_value(op, name, " must be finite and >= 0, got ", value);
}

void check_beta(const char* op, const char* name, double value) {
  if (!(value >= 0 && value < 1)) fail_value(op, name, " must be in [0, 1), got ", value);
}

// Cuts the concatenation of all tensors into pieces and calls body(tensor, first, count) for the
// part of each tensor that lies in a piece. Elements do not depend on one another, so the cuts may
// be anywhere.
template <typename Tensor, typename Body>
void for_each_piece(const std::vector<Tensor>& tensors, int64_t bytes_per_element,
                    const Body& body) {
  std::vector<int64_t> ends(tensors.size());
  int64_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) ends[i] = total += tensors[i].size;
  parallel_for(total, grain_for(bytes_per_element), [&](int64_t begin, int64_t end) {
    size_t i =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    for (; begin < end; ++i) {
      const int64_t stop = std::min(end, ends[i]);
      if (stop > begin) body(tensors[i], begin - (ends[i] - tensors[i].size), stop - begin);
      begin = stop;
    }
  });
}

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
