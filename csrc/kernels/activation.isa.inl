// relu          y = max(x, 0)                     dx = dy where y > 0
// leaky_relu    y = x where x > 0, else first x   dx = dy where x > 0, else first dy
// sigmoid       y = 1 / (1 + exp(-x))             dx = dy y (1 - y)
// tanh          y = tanh(x)                       dx = dy (1 - y^2)
// gelu          y = x P(z <= x)                   dx = dy (P(z <= x) + x bell(x))
// gelu, tanh    y = x sigmoid(2 u)                u = sqrt(2 / pi) (x + 0.044715 x^3)
// silu          y = x s,  s = sigmoid(x)          dx = dy s (1 + x (1 - s))
// elu           y = x where x > 0, else           dx = dy where x > 0, else
//                   first (exp(x) - 1)                dy first exp(x)
// hard_sigmoid  y = min(max(z, 0), 1)             dx = dy first where 0 < z < 1, else 0
//                   with z = first x + second
// softplus      y = ln(1 + exp(z)) / first        dx = dy sigmoid(z)
//                   with z = first x; where z > second, y = x and dx = dy
// bell is the density of the normal distribution, exp(-x^2 / 2) / sqrt(2 pi).
// Outputs are overwritten. The comparisons are written so that NaN passes through.
#include "kernels/activation.h"

#include "kernels/math.inl"
#include "kernels/stream.inl"

namespace neurona::NEURONA_ISA {
namespace {

struct Relu {
  NEURONA_INLINE Vec forward(Vec x, Vec, Vec) { return select(x <= Vec{}, Vec{}, x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec y, Vec, Vec) { return select(y <= Vec{}, Vec{}, dy); }
};

struct LeakyRelu {
  NEURONA_INLINE Vec forward(Vec x, Vec slope, Vec) { return select(x > Vec{}, x, x * slope); }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec slope, Vec) {
    return select(x > Vec{}, dy, dy * slope);
  }
};

struct Sigmoid {
  NEURONA_INLINE Vec forward(Vec x, Vec, Vec) { return sigmoid(x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec y, Vec, Vec) { return dy * y * (1.0f - y); }
};

struct Tanh {
  NEURONA_INLINE Vec forward(Vec x, Vec, Vec) { return hyperbolic_tangent(x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec y, Vec, Vec) { return dy * (1.0f - y * y); }
};

struct Gelu {
  NEURONA_INLINE Vec forward(Vec x, Vec, Vec) { return x * normal_distribution(x).cdf; }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec, Vec) {
    const Normal normal = normal_distribution(x);
    return dy * (normal.cdf + x * (normal.bell * 0.398942280f));
  }
};

struct GeluTanh {
  // 2 sqrt(2 / pi), and that times 0.044715.
  static constexpr float kLinear = 1.59576912f, kCubic = 0.0713548163f;

  NEURONA_INLINE Vec forward(Vec x, Vec, Vec) {
    return x * sigmoid(x * (x * x * kCubic + kLinear));
  }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec, Vec) {
    const Logistic s = logistic(x * (x * x * kCubic + kLinear));
    // s (1 - s) is 0 far out; the bound keeps the other factor finite, so that their product is 0
    // and not NaN.
    const Vec bounded = clamp(x, -100.0f, 100.0f);
    return dy * (s.value +
                 x * (s.value * s.complement) * (bounded * bounded * (3.0f * kCubic) + kLinear));
  }
};

struct Silu {
  NEURONA_INLINE Vec forward(Vec x, Vec, Vec) { return x * sigmoid(x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec, Vec) {
    const Logistic s = logistic(x);
    return dy * s.value * (x * s.complement + 1.0f);
  }
};

struct Elu {
  NEURONA_INLINE Vec forward(Vec x, Vec alpha, Vec) {
    return select(x > Vec{}, x, alpha * expm1_of_negative(x));
  }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec alpha, Vec) {
    return select(x > Vec{}, dy, dy * (alpha * exponential(x)));
  }
};

struct HardSigmoid {
  NEURONA_INLINE Vec forward(Vec x, Vec slope, Vec shift) {
    return clamp(x * slope + shift, 0.0f, 1.0f);
  }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec slope, Vec shift) {
    const Vec line = x * slope + shift;
    return select((line > Vec{}) & (line < broadcast(1.0f)), dy * slope, Vec{});
  }
};

struct Softplus {
  NEURONA_INLINE Vec forward(Vec x, Vec beta, Vec threshold) {
    const Vec scaled = x * beta;
    const Vec rest = log_of_one_and(exponential(-absolute(scaled)));
    // Chosen so that NaN, for which both comparisons are false, stays.
    return select(scaled > threshold, x, (select(scaled < Vec{}, Vec{}, scaled) + rest) / beta);
  }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec beta, Vec threshold) {
    const Vec scaled = x * beta;
    return select(scaled > threshold, dy, dy * sigmoid(scaled));
  }
};

// Two vectors at a time: enough to overlap the latencies of the polynomials, and memory limits the
// cheap functions anyway.
template <typename Function, bool kPastCaches>
void forward_all(const float* x, float* y, int64_t count, float first_value, float second_value) {
  const Vec first = broadcast(first_value), second = broadcast(second_value);
  const auto some = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    const int lanes = static_cast<int>(n);
    store_partial(y + i, Function::forward(load_partial(x + i, lanes), first, second), lanes);
  };
  int64_t i = kPastCaches ? floats_to_vector(y, count) : 0;
  if (i > 0) some(0, i);
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const Vec low = Function::forward(load(x + i), first, second);
    const Vec high = Function::forward(load(x + i + kLanes), first, second);
    store_or_stream<kPastCaches>(y + i, low);
    store_or_stream<kPastCaches>(y + i + kLanes, high);
  }
  for (; i < count; i += kLanes) some(i, count - i < kLanes ? count - i : kLanes);
  end_stream<kPastCaches>();
}

template <typename Function>
void forward(const float* x, float* y, int64_t count, float first, float second, bool past_caches) {
  const auto run = past_caches ? forward_all<Function, true> : forward_all<Function, false>;
  run(x, y, count, first, second);
}

template <typename Function, bool kPastCaches>
void backward_all(const float* dy, const float* saved, float* dx, int64_t count, float first_value,
                  float second_value) {
  const Vec first = broadcast(first_value), second = broadcast(second_value);
  const auto some = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    const int lanes = static_cast<int>(n);
    const Vec slope = Function::backward(load_partial(dy + i, lanes),
                                         load_partial(saved + i, lanes), first, second);
    store_partial(dx + i, slope, lanes);
  };
  int64_t i = kPastCaches ? floats_to_vector(dx, count) : 0;
  if (i > 0) some(0, i);
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const Vec low = Function::backward(load(dy + i), load(saved + i), first, second);
    const Vec high =
        Function::backward(load(dy + i + kLanes), load(saved + i + kLanes), first, second);
    store_or_stream<kPastCaches>(dx + i, low);
    store_or_stream<kPastCaches>(dx + i + kLanes, high);
  }
  for (; i < count; i += kLanes) some(i, count - i < kLanes ? count - i : kLanes);
  end_stream<kPastCaches>();
}

template <typename Function>
void backward(const float* dy, const float* saved, float* dx, int64_t count, float first,
              float second, bool past_caches) {
  const auto run = past_caches ? backward_all<Function, true> : backward_all<Function, false>;
  run(dy, saved, dx, count, first, second);
}

}  // namespace

ActivationKernels activation_kernels() {
  return {{forward<Relu>, forward<LeakyRelu>, forward<Sigmoid>, forward<Tanh>, forward<Gelu>,
           forward<GeluTanh>, forward<Silu>, forward<Elu>, forward<HardSigmoid>, forward<Softplus>},
          {backward<Relu>, backward<LeakyRelu>, backward<Sigmoid>, backward<Tanh>, backward<Gelu>,
           backward<GeluTanh>, backward<Silu>, backward<Elu>, backward<HardSigmoid>,
           backward<Softplus>}};
}

}  // namespace neurona::NEURONA_ISA
