// One pass over x and target gives the sum of the losses and both gradients, with the logarithms
// and exponentials that they share taken once. Outputs are overwritten.
//
// The sum has two levels, as in reduce.isa.inl: blocks in float32, each accumulator taking at most
// kBlock terms, and the blocks in double. The comparisons are written so that NaN passes through.
#include "kernels/pointwise_loss.h"

#include "kernels/math.inl"
#include "kernels/partial.inl"

namespace neurona::NEURONA_ISA {
namespace {

constexpr int64_t kBlock = 64;

// What a logarithm of 0 counts as, so that a certain but wrong prediction costs a finite amount.
constexpr float kLogFloor = -100.0f;
// Keeps 1 / (x (1 - x)) finite at x = 0 and 1.
constexpr float kVarianceFloor = 1e-12f;

// The loss of each lane and its derivatives by x and by the target.
struct Terms {
  Vec loss, by_x, by_target;
};

NEURONA_INLINE Vec at_least(Vec v, float low) {
  return select(v < broadcast(low), broadcast(low), v);
}

NEURONA_INLINE Vec sign(Vec v) {
  const Vec one = copy_sign(broadcast(1.0f), v);
  return select((v > Vec{}) | (v < Vec{}), one, v);  // zeros and NaN stay what they are
}

// log(1 + y) for y >= -1, to the last bits near 0 too.
NEURONA_INLINE Vec log_one_plus(Vec y) {
  const Vec sum = y + 1.0f;
  // As in log_of_normal; where 1 + y is in [sqrt(1/2), sqrt(2)), y itself is exact and the sum is
  // not.
  const IntVec offset = bits_of(sum) - broadcast_int(0x3f3504f3);
  const IntVec e = offset >> 23;
  const Vec m = float_of((offset & broadcast_int(0x7fffff)) + broadcast_int(0x3f3504f3));
  const Vec f = select(e == broadcast_int(0), y, m - 1.0f);
  Vec result = log_from_parts(f, __builtin_convertvector(e, Vec));
  result = select(sum == Vec{}, broadcast(-__builtin_inff()), result);
  return select(sum >= Vec{}, result, broadcast(__builtin_nanf("")));
}

struct Mse {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float) {
    const Vec d = x - target, slope = d + d;
    return {d * d, slope, -slope};
  }
};

struct L1 {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float) {
    const Vec d = x - target, slope = sign(d);
    return {absolute(d), slope, -slope};
  }
};

struct Huber {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float delta) {
    const Vec d = x - target, size = absolute(d), slope = clamp(d, -delta, delta);
    const Vec loss = select(size < broadcast(delta), 0.5f * size * size,
                            delta * (size - broadcast(0.5f * delta)));
    return {loss, slope, -slope};
  }
};

struct SmoothL1 {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float beta) {
    const Vec d = x - target, size = absolute(d);
    const Vec share = d / beta, slope = clamp(share, -1.0f, 1.0f);
    const Vec loss = select(size < broadcast(beta), 0.5f * size * absolute(share),
                            size - broadcast(0.5f * beta));
    return {loss, slope, -slope};
  }
};

struct Hinge {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float margin) {
    const Vec missing = broadcast(margin) - target * x;
    const IntVec free = missing <= Vec{};
    return {select(free, Vec{}, missing), select(free, Vec{}, -target), select(free, Vec{}, -x)};
  }
};

struct Bce {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float) {
    const Vec log_x = at_least(logarithm(x), kLogFloor),
              log_rest = at_least(log_one_plus(-x), kLogFloor);
    return {(target - 1.0f) * log_rest - target * log_x,
            (x - target) / at_least(x * (1.0f - x), kVarianceFloor), log_rest - log_x};
  }
};

// log1p(e^-|x|) + max(-x, 0) is softplus(-x) and overflows nowhere; the sigmoid shares e^-|x|.
template <bool kWeighted>
struct BceWithLogits {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec weight, float) {
    const Vec e = exponential(-absolute(x));
    const IntVec negative = x < Vec{};
    const Vec softplus = log_one_plus(e) + select(negative, -x, Vec{});
    const Vec near = 1.0f / (e + 1.0f), far = e * near;
    const Vec p = select(negative, far, near);
    if constexpr (!kWeighted) return {(1.0f - target) * x + softplus, p - target, -x};
    const Vec rest = select(negative, near, far);
    return {(1.0f - target) * x + softplus * (1.0f + (weight - 1.0f) * target),
            (1.0f - target) * p - weight * target * rest, (weight - 1.0f) * softplus - x};
  }
};

struct KlDiv {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float) {
    const Vec log_target = logarithm(target);
    const Vec entropy = target * select(target == Vec{}, Vec{}, log_target);
    return {entropy - target * x, -target, log_target - x + 1.0f};
  }
};

struct KlDivLog {
  NEURONA_INLINE Terms terms(Vec x, Vec target, Vec, float) {
    const Vec p = exponential(target), d = target - x;
    return {p * d, -p, (d + 1.0f) * p};
  }
};

NEURONA_INLINE Vec first_lanes(Vec v, int n) {
  IntVec lane;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return select(lane < broadcast_int(n), v, Vec{});
}

// The losses of n lanes from i on, zeros behind; writes what is asked for.
template <typename Loss, bool kGradients>
NEURONA_INLINE Vec step(const PointwiseLossArrays& arrays, int64_t i, int n) {
  Vec weight = {};
  if (arrays.pos_weight)
    weight = arrays.pos_weight_is_a_value ? broadcast(*arrays.pos_weight)
                                          : load_first(arrays.pos_weight + i, n);
  const Terms terms = Loss::terms(load_first(arrays.x + i, n), load_first(arrays.target + i, n),
                                  weight, arrays.parameter);
  if (arrays.losses) store_first(arrays.losses + i, terms.loss, n);
  if constexpr (kGradients) {
    const Vec scale = broadcast(arrays.gradient_scale);
    if (arrays.dx) store_first(arrays.dx + i, terms.by_x * scale, n);
    if (arrays.dtarget) store_first(arrays.dtarget + i, terms.by_target * scale, n);
  }
  return n == kLanes ? terms.loss : first_lanes(terms.loss, n);
}

template <typename Loss, bool kGradients>
double blocked_sum(const PointwiseLossArrays& arrays, int64_t begin, int64_t end) {
  constexpr int64_t kSpan = 2 * kLanes * kBlock;
  double total = 0;
  while (begin < end) {
    const int64_t stop = end - begin < kSpan ? end : begin + kSpan;
    Vec first = {}, second = {};
    for (; begin + 2 * kLanes <= stop; begin += 2 * kLanes) {
      first += step<Loss, kGradients>(arrays, begin, kLanes);
      second += step<Loss, kGradients>(arrays, begin + kLanes, kLanes);
    }
    for (; begin < stop; begin += kLanes) {
      const int n = stop - begin < kLanes ? static_cast<int>(stop - begin) : kLanes;
      first += step<Loss, kGradients>(arrays, begin, n);
    }
    begin = stop;
    total += reduce_add(first + second);
  }
  return total;
}

template <typename Loss>
double sum(const PointwiseLossArrays& arrays, int64_t begin, int64_t end) {
  if (arrays.dx || arrays.dtarget) return blocked_sum<Loss, true>(arrays, begin, end);
  return blocked_sum<Loss, false>(arrays, begin, end);
}

double bce_with_logits(const PointwiseLossArrays& arrays, int64_t begin, int64_t end) {
  if (arrays.pos_weight) return sum<BceWithLogits<true>>(arrays, begin, end);
  return sum<BceWithLogits<false>>(arrays, begin, end);
}

}  // namespace

PointwiseLossKernels pointwise_loss_kernels() {
  return {{sum<Mse>, sum<L1>, sum<Huber>, sum<SmoothL1>, sum<Hinge>, sum<Bce>, bce_with_logits,
           sum<KlDiv>, sum<KlDivLog>}};
}

}  // namespace neurona::NEURONA_ISA
