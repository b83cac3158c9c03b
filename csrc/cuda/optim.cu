// SGD and Adam. Their numbers are among the kernel's parameters; in a captured step, which keeps
// its parameters, they lie in the device's memory instead, where they are renewed before a launch
// in which they differ.
#include "ops/optim.h"

#include "cuda/graph.h"
#include "cuda/optim_step.cuh"

namespace neurona {
namespace {

template <bool kMomentum>
struct SgdRule {
  static constexpr int kArrays = kMomentum ? 2 : 1;
  SgdStep step;
  const SgdStep* changing;  // what takes the place of `step`, or null

  __device__ void prepare() {
    if (changing) step = *changing;
  }

  __device__ void operator()(float g, float* s) const {
    float update = decayed_gradient(g, s[0], step.sign, step.weight_decay);
    if constexpr (kMomentum) {
      s[1] = step.first ? update : step.momentum * s[1] + step.gradient_share * update;
      update = step.nesterov ? update + step.momentum * s[1] : s[1];
    }
    s[0] -= step.lr * update;
  }
};

// m, v, and amsgrad's maximum of v.
template <bool kLargest>
struct AdamRule {
  static constexpr int kArrays = kLargest ? 4 : 3;
  AdamStep step;
  const AdamStep* changing;

  __device__ void prepare() {
    if (changing) step = *changing;
  }

  __device__ void operator()(float g, float* s) const {
    const float slope = decayed_gradient(g, s[0], step.sign, step.weight_decay);
    s[1] = step.beta1 * s[1] + step.gradient_share * slope;
    s[2] = step.beta2 * s[2] + step.square_share * (slope * slope);
    float square = s[2];
    if constexpr (kLargest) {
      if (!(square > s[3] || square != square)) square = s[3];  // NaN on either side wins
      s[3] = square;
    }
    const float denominator = sqrtf(square) * step.root_correction + step.eps;
    s[0] = step.keep * s[0] - step.step_size * (s[1] / denominator);
  }
};

}  // namespace

void sgd_step(const std::shared_ptr<const SgdOptions>& options,
              const std::vector<SgdTensor>& tensors) {
  std::vector<StepTensor> table;
  table.reserve(tensors.size());
  for (const SgdTensor& t : tensors) table.push_back({t.size, t.g, {t.p, t.buffer}});
  const SgdStep step = step_of(*options);
  const auto* changing = changing_numbers([options] { return step_of(*options); });
  if (options->momentum != 0) return step_all("sgd_step", SgdRule<true>{step, changing}, table);
  step_all("sgd_step", SgdRule<false>{step, changing}, table);
}

void adam_step(const std::shared_ptr<const AdamOptions>& options,
               const std::vector<AdamTensor>& tensors) {
  std::vector<StepTensor> table;
  table.reserve(tensors.size());
  for (const AdamTensor& t : tensors) table.push_back({t.size, t.g, {t.p, t.m, t.v, t.largest}});
  const AdamStep step = step_of(*options);
  const auto* changing = changing_numbers([options] { return step_of(*options); });
  const bool amsgrad = !tensors.empty() && tensors.front().largest;  // of all or of none
  if (amsgrad) return step_all("adam_step", AdamRule<true>{step, changing}, table);
  step_all("adam_step", AdamRule<false>{step, changing}, table);
}

}  // namespace neurona
