#include "ops/optim.h"

#include "kernels/select.h"
#include "ops/pieces.h"

namespace neurona {
namespace {

float* at(float* p, int64_t first) { return p ? p + first : nullptr; }

}  // namespace

void sgd_step(const std::shared_ptr<const SgdOptions>& options,
              const std::vector<SgdTensor>& tensors) {
  const SgdStep step = step_of(*options);
  const auto kernel = kernels().optim.sgd;
  for_each_piece(tensors, options->momentum != 0 ? 20 : 12,
                 [&](const SgdTensor& tensor, int64_t first, int64_t count) {
                   kernel(step, count, tensor.p + first, tensor.g + first,
                          at(tensor.buffer, first));
                 });
}

void adam_step(const std::shared_ptr<const AdamOptions>& options,
               const std::vector<AdamTensor>& tensors) {
  const AdamStep step = step_of(*options);
  const auto kernel = kernels().optim.adam;
  for_each_piece(tensors, 28, [&](const AdamTensor& tensor, int64_t first, int64_t count) {
    kernel(step, count, tensor.p + first, tensor.g + first, tensor.m + first, tensor.v + first,
           at(tensor.largest, first));
  });
}

}  // namespace neurona
