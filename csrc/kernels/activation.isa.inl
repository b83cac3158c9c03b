// relu        y = max(x, 0)                       dx = dy where y > 0
// leaky_relu  y = x where x > 0, else slope x     dx = dy where x > 0, else slope dy
// sigmoid     y = 1 / (1 + exp(-x))               dx = dy y (1 - y)
// tanh        y = tanh(x)                         dx = dy (1 - y^2)
// gelu        y = x P(z <= x)                     dx = dy (P(z <= x) + x exp(-x^2 / 2) / sqrt(2
// pi)) gelu, tanh  y = x sigmoid(2 u),  u = sqrt(2 / pi) (x + 0.044715 x^3) silu        y = x s,  s
// = sigmoid(x)            dx = dy s (1 + x (1 - s)) Outputs are overwritten. The comparisons are
// written so that NaN passes through.
#include "kernels/activation.h"

#include "kernels/math.inl"

namespace neurona::NEURONA_ISA {
namespace {

struct Relu {
  NEURONA_INLINE Vec forward(Vec x, Vec) { return select(x <= Vec{}, Vec{}, x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec y, Vec) { return select(y <= Vec{}, Vec{}, dy); }
};

struct LeakyRelu {
  NEURONA_INLINE Vec forward(Vec x, Vec slope) { return select(x > Vec{}, x, x * slope); }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec slope) {
    return select(x > Vec{}, dy, dy * slope);
  }
};

struct Sigmoid {
  NEURONA_INLINE Vec forward(Vec x, Vec) { return sigmoid(x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec y, Vec) { return dy * y * (1.0f - y); }
};

struct Tanh {
  NEURONA_INLINE Vec forward(Vec x, Vec) { return hyperbolic_tangent(x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec y, Vec) { return dy * (1.0f - y * y); }
};

struct Gelu {
  NEURONA_INLINE Vec forward(Vec x, Vec) { return x * normal_distribution(x).cdf; }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec) {
    const Normal normal = normal_distribution(x);
    return dy * (normal.cdf + x * (normal.bell * 0.398942280f));
  }
};

struct GeluTanh {
  // 2 sqrt(2 / pi), and that times 0.044715.
  static constexpr float kLinear = 1.59576912f, kCubic = 0.0713548163f;

  NEURONA_INLINE Vec forward(Vec x, Vec) { return x * sigmoid(x * (x * x * kCubic + kLinear)); }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec) {
    const Logistic s = logistic(x * (x * x * kCubic + kLinear));
    // s (1 - s) is 0 far out; the bound keeps the other factor finite, so that their product is 0
    // and not NaN.
    const Vec bounded = clamp(x, -100.0f, 100.0f);
    return dy * (s.value +
                 x * (s.value * s.complement) * (bounded * bounded * (3.0f * kCubic) + kLinear));
  }
};

struct Silu {
  NEURONA_INLINE Vec forward(Vec x, Vec) { return x * sigmoid(x); }
  NEURONA_INLINE Vec backward(Vec dy, Vec x, Vec) {
    const Logistic s = logistic(x);
    return dy * s.value * (x * s.complement + 1.0f);
  }
};

// Two vectors at a time: enough to overlap the latencies of the polynomials, and memory limits the
// cheap functions anyway.
template <typename Function>
void forward(const float* x, float* y, int64_t count, float slope_value) {
  const Vec slope = broadcast(slope_value);
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const Vec first = Function::forward(load(x + i), slope);
    const Vec second = Function::forward(load(x + i + kLanes), slope);
    store(y + i, first);
    store(y + i + kLanes, second);
  }
  for (; i < count; i += kLanes) {
    const int n = count - i < kLanes ? static_cast<int>(count - i) : kLanes;
    store_partial(y + i, Function::forward(load_partial(x + i, n), slope), n);
  }
}

template <typename Function>
void backward(const float* dy, const float* saved, float* dx, int64_t count, float slope_value) {
  const Vec slope = broadcast(slope_value);
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const Vec first = Function::backward(load(dy + i), load(saved + i), slope);
    const Vec second = Function::backward(load(dy + i + kLanes), load(saved + i + kLanes), slope);
    store(dx + i, first);
    store(dx + i + kLanes, second);
  }
  for (; i < count; i += kLanes) {
    const int n = count - i < kLanes ? static_cast<int>(count - i) : kLanes;
    store_partial(
        dx + i, Function::backward(load_partial(dy + i, n), load_partial(saved + i, n), slope), n);
  }
}

}  // namespace

ActivationKernels activation_kernels() {
  return {{forward<Relu>, forward<LeakyRelu>, forward<Sigmoid>, forward<Tanh>, forward<Gelu>,
           forward<GeluTanh>, forward<Silu>},
          {backward<Relu>, backward<LeakyRelu>, backward<Sigmoid>, backward<Tanh>, backward<Gelu>,
           backward<GeluTanh>, backward<Silu>}};
}

}  // namespace neurona::NEURONA_ISA
