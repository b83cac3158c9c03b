// SGD and Adam on vectors: every array is read once and written once.
#include "kernels/optim.h"

#include "kernels/gradient.inl"
#include "kernels/math.inl"

namespace neurona::NEURONA_ISA {
namespace {

template <bool kMomentum, bool kFirst, bool kNesterov>
NEURONA_INLINE void sgd_loop(const SgdStep& step, int64_t count, float* p, const float* g,
                             float* buffer) {
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n);
    Vec update = decayed_gradient(load_first(g + i, n), parameter, step.sign, step.weight_decay);
    if constexpr (kMomentum) {
      Vec velocity = update;
      if constexpr (!kFirst)
        velocity = broadcast(step.momentum) * load_first(buffer + i, n) +
                   broadcast(step.gradient_share) * update;
      store_first(buffer + i, velocity, n);
      update = kNesterov ? update + broadcast(step.momentum) * velocity : velocity;
    }
    store_first(p + i, parameter - broadcast(step.lr) * update, n);
  });
}

void sgd(const SgdStep& step, int64_t count, float* p, const float* g, float* buffer) {
  if (!buffer) return sgd_loop<false, false, false>(step, count, p, g, buffer);
  if (step.first && step.nesterov) return sgd_loop<true, true, true>(step, count, p, g, buffer);
  if (step.first) return sgd_loop<true, true, false>(step, count, p, g, buffer);
  if (step.nesterov) return sgd_loop<true, false, true>(step, count, p, g, buffer);
  sgd_loop<true, false, false>(step, count, p, g, buffer);
}

template <bool kLargest>
NEURONA_INLINE void adam_loop(const AdamStep& step, int64_t count, float* p, const float* g,
                              float* m, float* v, float* largest) {
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n);
    const Vec gradient =
        decayed_gradient(load_first(g + i, n), parameter, step.sign, step.weight_decay);
    const Vec mean =
        broadcast(step.beta1) * load_first(m + i, n) + broadcast(step.gradient_share) * gradient;
    Vec square = broadcast(step.beta2) * load_first(v + i, n) +
                 broadcast(step.square_share) * (gradient * gradient);
    store_first(m + i, mean, n);
    store_first(v + i, square, n);
    if constexpr (kLargest) {
      const Vec before = load_first(largest + i, n);
      square = select((square > before) | (square != square), square, before);
      store_first(largest + i, square, n);
    }
    const Vec denominator =
        square_root(square) * broadcast(step.root_correction) + broadcast(step.eps);
    store_first(p + i,
                broadcast(step.keep) * parameter - broadcast(step.step_size) * (mean / denominator),
                n);
  });
}

void adam(const AdamStep& step, int64_t count, float* p, const float* g, float* m, float* v,
          float* largest) {
  if (largest) return adam_loop<true>(step, count, p, g, m, v, largest);
  adam_loop<false>(step, count, p, g, m, v, largest);
}

}  // namespace

OptimKernels optim_kernels() { return {sgd, adam}; }

}  // namespace neurona::NEURONA_ISA
