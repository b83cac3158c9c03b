#include "ops/adaptive.h"

#include "kernels/select.h"
#include "ops/pieces.h"

namespace neurona {

void adagrad_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = adagrad_step_of(options);
  const auto kernel = kernels().adaptive.adagrad;
  for_each_piece(tensors, 20, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first);
  });
}

void rmsprop_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = uncorrected_step_of(options);
  const auto kernel = kernels().adaptive.rmsprop;
  for_each_piece(tensors, 24, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second ? tensor.second + first : nullptr);
  });
}

void adadelta_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = uncorrected_step_of(options);
  const auto kernel = kernels().adaptive.adadelta;
  for_each_piece(tensors, 28, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second + first);
  });
}

void adamax_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = adamax_step_of(options);
  const auto kernel = kernels().adaptive.adamax;
  for_each_piece(tensors, 28, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second + first);
  });
}

void nadam_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = nadam_step_of(options);
  const auto kernel = kernels().adaptive.nadam;
  for_each_piece(tensors, 28, [&](const AdaptiveTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.first + first,
           tensor.second + first);
  });
}

}  // namespace neurona
