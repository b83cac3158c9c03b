// Adagrad, RMSprop, Adadelta, Adamax and NAdam.
#include "ops/adaptive.h"

#include "cuda/optim_step.cuh"

namespace neurona {
namespace {

__device__ inline float gradient(const AdaptiveStep& step, float g, float p) {
  return decayed_gradient(g, p, step.sign, step.weight_decay);
}

// sqrt(v) + eps, or sqrt(v + eps).
__device__ inline float root(const AdaptiveStep& step, float v) {
  return step.eps_inside ? sqrtf(v + step.eps) : sqrtf(v) + step.eps;
}

// m + (1 - decay) (g - m).
__device__ inline float moved_mean(const AdaptiveStep& step, float m, float g) {
  return m + (1.0f - step.mean_decay) * (g - m);
}

// decay v + share g^2.
__device__ inline float moved_square(const AdaptiveStep& step, float v, float g) {
  return step.decay * v + step.share * (g * g);
}

// The sum of squares.
struct AdagradRule {
  static constexpr int kArrays = 2;
  AdaptiveStep step;
  __device__ void operator()(float g, float* s) const {
    const float slope = gradient(step, g, s[0]);
    s[1] += slope * slope;
    s[0] -= step.rate * (slope / root(step, s[1]));
  }
};

// The mean of squares, and the buffer of steps.
template <bool kMomentum>
struct RmspropRule {
  static constexpr int kArrays = kMomentum ? 3 : 2;
  AdaptiveStep step;
  __device__ void operator()(float g, float* s) const {
    const float slope = gradient(step, g, s[0]);
    s[1] = moved_square(step, s[1], slope);
    float quotient = slope / root(step, s[1]);
    if constexpr (kMomentum) quotient = s[2] = step.momentum * s[2] + quotient;
    s[0] -= step.rate * quotient;
  }
};

// The mean squares of gradients and of moves.
struct AdadeltaRule {
  static constexpr int kArrays = 3;
  AdaptiveStep step;
  __device__ void operator()(float g, float* s) const {
    const float slope = gradient(step, g, s[0]);
    s[1] = moved_square(step, s[1], slope);
    const float move = sqrtf(s[2] + step.eps) / sqrtf(s[1] + step.eps) * slope;
    s[2] = moved_square(step, s[2], move);
    s[0] -= step.rate * move;
  }
};

// The mean of gradients, and the bound of their sizes.
struct AdamaxRule {
  static constexpr int kArrays = 3;
  AdaptiveStep step;
  __device__ void operator()(float g, float* s) const {
    const float slope = gradient(step, g, s[0]);
    s[1] = moved_mean(step, s[1], slope);
    const float kept = step.decay * s[2], size = fabsf(slope) + step.eps;
    s[2] = size > kept || size != size ? size : kept;  // NaN on either side wins
    s[0] -= step.rate * (s[1] / s[2]);
  }
};

// The means of gradients and of squares.
struct NadamRule {
  static constexpr int kArrays = 3;
  AdaptiveStep step;
  __device__ void operator()(float g, float* s) const {
    const float slope = gradient(step, g, s[0]);
    s[1] = moved_mean(step, s[1], slope);
    s[2] = moved_square(step, s[2], slope);
    const float denominator = sqrtf(s[2]) * step.root_correction + step.eps;
    s[0] = step.keep * s[0] - (step.gradient_rate * slope + step.rate * s[1]) / denominator;
  }
};

std::vector<StepTensor> table_of(const std::vector<AdaptiveTensor>& tensors) {
  std::vector<StepTensor> table;
  table.reserve(tensors.size());
  for (const AdaptiveTensor& t : tensors) table.push_back({t.size, t.g, {t.p, t.first, t.second}});
  return table;
}

}  // namespace

void adagrad_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  step_all("adagrad_step", AdagradRule{adagrad_step_of(options)}, table_of(tensors));
}

void rmsprop_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  const AdaptiveStep step = uncorrected_step_of(options);
  if (options.momentum != 0)
    return step_all("rmsprop_step", RmspropRule<true>{step}, table_of(tensors));
  step_all("rmsprop_step", RmspropRule<false>{step}, table_of(tensors));
}

void adadelta_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  step_all("adadelta_step", AdadeltaRule{uncorrected_step_of(options)}, table_of(tensors));
}

void adamax_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  step_all("adamax_step", AdamaxRule{adamax_step_of(options)}, table_of(tensors));
}

void nadam_step(const AdaptiveOptions& options, const std::vector<AdaptiveTensor>& tensors) {
  step_all("nadam_step", NadamRule{nadam_step_of(options)}, table_of(tensors));
}

}  // namespace neurona
