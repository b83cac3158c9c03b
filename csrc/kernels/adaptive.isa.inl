// Adagrad, RMSprop, Adadelta, Adamax and NAdam on vectors: every array is read once and written
// once.
#include "kernels/adaptive.h"

#include "kernels/gradient.inl"
#include "kernels/math.inl"

namespace neurona::NEURONA_ISA {
namespace {

// sqrt(v) + eps, or sqrt(v + eps).
NEURONA_INLINE Vec root(Vec v, const AdaptiveStep& step) {
  const Vec eps = broadcast(step.eps);
  return step.eps_inside ? square_root(v + eps) : square_root(v) + eps;
}

NEURONA_INLINE Vec gradient(const AdaptiveStep& step, const float* g, Vec parameter, int n) {
  return decayed_gradient(load_first(g, n), parameter, step.sign, step.weight_decay);
}

// m + (1 - decay) (g - m), written back.
NEURONA_INLINE Vec moved_mean(float* m, Vec g, float decay, int n) {
  const Vec before = load_first(m, n), mean = before + broadcast(1.0f - decay) * (g - before);
  store_first(m, mean, n);
  return mean;
}

// decay v + share g^2, written back.
NEURONA_INLINE Vec moved_square(const AdaptiveStep& step, float* v, Vec g, int n) {
  const Vec square = broadcast(step.decay) * load_first(v, n) + broadcast(step.share) * (g * g);
  store_first(v, square, n);
  return square;
}

void adagrad(const AdaptiveStep& step, int64_t count, float* p, const float* g, float* sum) {
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n), slope = gradient(step, g + i, parameter, n);
    const Vec total = load_first(sum + i, n) + slope * slope;
    store_first(sum + i, total, n);
    store_first(p + i, parameter - broadcast(step.rate) * (slope / root(total, step)), n);
  });
}

template <bool kMomentum>
NEURONA_INLINE void rmsprop_loop(const AdaptiveStep& step, int64_t count, float* p, const float* g,
                                 float* square, float* buffer) {
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n), slope = gradient(step, g + i, parameter, n);
    Vec quotient = slope / root(moved_square(step, square + i, slope, n), step);
    if constexpr (kMomentum) {
      quotient = broadcast(step.momentum) * load_first(buffer + i, n) + quotient;
      store_first(buffer + i, quotient, n);
    }
    store_first(p + i, parameter - broadcast(step.rate) * quotient, n);
  });
}

void rmsprop(const AdaptiveStep& step, int64_t count, float* p, const float* g, float* square,
             float* buffer) {
  if (buffer) return rmsprop_loop<true>(step, count, p, g, square, buffer);
  rmsprop_loop<false>(step, count, p, g, square, buffer);
}

void adadelta(const AdaptiveStep& step, int64_t count, float* p, const float* g, float* square,
              float* delta) {
  const Vec eps = broadcast(step.eps);
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n), slope = gradient(step, g + i, parameter, n);
    const Vec average = moved_square(step, square + i, slope, n), before = load_first(delta + i, n);
    const Vec move = square_root(before + eps) / square_root(average + eps) * slope;
    store_first(delta + i, broadcast(step.decay) * before + broadcast(step.share) * (move * move),
                n);
    store_first(p + i, parameter - broadcast(step.rate) * move, n);
  });
}

void adamax(const AdaptiveStep& step, int64_t count, float* p, const float* g, float* mean,
            float* largest) {
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n), slope = gradient(step, g + i, parameter, n);
    const Vec m = moved_mean(mean + i, slope, step.mean_decay, n);
    const Vec kept = broadcast(step.decay) * load_first(largest + i, n),
              size = absolute(slope) + broadcast(step.eps);
    // NaN on either side wins.
    const Vec bound = select((size > kept) | (size != size), size, kept);
    store_first(largest + i, bound, n);
    store_first(p + i, parameter - broadcast(step.rate) * (m / bound), n);
  });
}

void nadam(const AdaptiveStep& step, int64_t count, float* p, const float* g, float* mean,
           float* square) {
  for_each_vector(count, [&](int64_t i, int n) __attribute__((always_inline)) {
    const Vec parameter = load_first(p + i, n), kept = broadcast(step.keep) * parameter;
    const Vec slope = gradient(step, g + i, parameter, n);
    const Vec m = moved_mean(mean + i, slope, step.mean_decay, n);
    const Vec v = moved_square(step, square + i, slope, n);
    const Vec denominator = square_root(v) * broadcast(step.root_correction) + broadcast(step.eps);
    const Vec direction = broadcast(step.gradient_rate) * slope + broadcast(step.rate) * m;
    store_first(p + i, kept - direction / denominator, n);
  });
}

}  // namespace

AdaptiveKernels adaptive_kernels() { return {adagrad, rmsprop, adadelta, adamax, nadam}; }

}  // namespace neurona::NEURONA_ISA
