// relu          y = max(x, 0)                     dx = dy where y > 0
// leaky_relu    y = x where x > 0, else first x   dx = dy where x > 0, else first dy
// sigmoid       y = 1 / (1 + exp(-x))             dx = dy y (1 - y)
// tanh          y = tanh(x)                       dx = dy (1 - y^2)
// gelu          y = x P(z <= x)                   dx = dy (P(z <= x) + x bell(x))
// gelu, tanh    y = x sigmoid(u)                  u = 2 sqrt(2 / pi) (x + 0.044715 x^3)
// silu          y = x s,  s = sigmoid(x)          dx = dy s (1 + x (1 - s))
// elu           y = x where x > 0, else           dx = dy where x > 0, else
//                   first (exp(x) - 1)                dy first exp(x)
// hard_sigmoid  y = min(max(z, 0), 1)             dx = dy first where 0 < z < 1, else 0
//                   with z = first x + second
// softplus      y = ln(1 + exp(z)) / first        dx = dy sigmoid(z)
//                   with z = first x; where z > second, y = x and dx = dy
// bell is the density of the normal distribution, exp(-x^2 / 2) / sqrt(2 pi).
// Outputs are overwritten. The comparisons are written so that NaN passes through.
#include "ops/activation.h"

#include "cuda/common/log1p.cuh"
#include "cuda/common/map.cuh"

namespace neurona {
namespace {

// s = 1 / (1 + exp(-x)) and 1 - s, neither by a difference of nearly equal numbers.
struct Logistic {
  float value, complement;
};

__device__ inline Logistic logistic(float x) {
  const float e = expf(-fabsf(x)), large = 1.0f / (1.0f + e), small = e * large;
  return x < 0 ? Logistic{small, large} : Logistic{large, small};
}

struct Relu {
  float first, second;
  __device__ float operator()(float x) const { return x <= 0 ? 0.0f : x; }
  __device__ float operator()(float dy, float y) const { return y <= 0 ? 0.0f : dy; }
};

struct LeakyRelu {
  float slope, second;
  __device__ float operator()(float x) const { return x > 0 ? x : x * slope; }
  __device__ float operator()(float dy, float x) const { return x > 0 ? dy : dy * slope; }
};

struct Sigmoid {
  float first, second;
  __device__ float operator()(float x) const { return logistic(x).value; }
  __device__ float operator()(float dy, float y) const { return dy * y * (1.0f - y); }
};

struct Tanh {
  float first, second;
  __device__ float operator()(float x) const { return tanhf(x); }
  __device__ float operator()(float dy, float y) const { return dy * (1.0f - y * y); }
};

struct Gelu {
  float first, second;
  static constexpr float kRootOfHalf = 0.707106781f;  // sqrt(1 / 2)
  static constexpr float kBell = 0.398942280f;        // 1 / sqrt(2 pi)
  // Not by erfcf(), whose small values are exact: its instructions would take as long as the bytes.
  __device__ static float cdf(float x) { return fmaf(0.5f, erff(x * kRootOfHalf), 0.5f); }
  __device__ float operator()(float x) const { return x * cdf(x); }
  __device__ float operator()(float dy, float x) const {
    return dy * (cdf(x) + x * (expf(-0.5f * x * x) * kBell));
  }
};

struct GeluTanh {
  float first, second;
  // 2 sqrt(2 / pi), and that times 0.044715.
  static constexpr float kLinear = 1.59576912f, kCubic = 0.0713548163f;
  __device__ float operator()(float x) const {
    return x * logistic(x * fmaf(x * x, kCubic, kLinear)).value;
  }
  __device__ float operator()(float dy, float x) const {
    const Logistic s = logistic(x * fmaf(x * x, kCubic, kLinear));
    // s (1 - s) is 0 far out; the bound keeps the other factor finite, so that their product is 0
    // and not NaN.
    const float bounded = x < -100.0f ? -100.0f : x > 100.0f ? 100.0f : x;
    const float rise = fmaf(bounded * bounded, 3.0f * kCubic, kLinear);
    return dy * (s.value + x * (s.value * s.complement) * rise);
  }
};

struct Silu {
  float first, second;
  __device__ float operator()(float x) const { return x * logistic(x).value; }
  __device__ float operator()(float dy, float x) const {
    const Logistic s = logistic(x);
    return dy * s.value * fmaf(x, s.complement, 1.0f);
  }
};

struct Elu {
  float alpha, second;
  __device__ float operator()(float x) const { return x > 0 ? x : alpha * expm1f(x); }
  __device__ float operator()(float dy, float x) const {
    return x > 0 ? dy : dy * (alpha * expf(x));
  }
};

struct HardSigmoid {
  float slope, shift;
  __device__ float operator()(float x) const {
    const float line = fmaf(x, slope, shift);
    return line < 0 ? 0.0f : line > 1 ? 1.0f : line;
  }
  __device__ float operator()(float dy, float x) const {
    const float line = fmaf(x, slope, shift);
    return line > 0 && line < 1 ? dy * slope : 0.0f;
  }
};

struct Softplus {
  float beta, threshold;
  __device__ float operator()(float x) const {
    const float z = x * beta;
    // Chosen so that NaN, for which both comparisons are false, stays.
    const float of_z = (z < 0 ? 0.0f : z) + log1p_of_unit(expf(-fabsf(z)));
    return z > threshold ? x : beta == 1 ? of_z : of_z / beta;
  }
  __device__ float operator()(float dy, float x) const {
    const float z = x * beta;
    return z > threshold ? dy : dy * logistic(z).value;
  }
};

// Calls body with the function of the formulas above.
template <typename Body>
void with_function(Activation activation, float first, float second, const Body& body) {
  switch (activation) {
    case Activation::kRelu: return body(Relu{first, second});
    case Activation::kLeakyRelu: return body(LeakyRelu{first, second});
    case Activation::kSigmoid: return body(Sigmoid{first, second});
    case Activation::kTanh: return body(Tanh{first, second});
    case Activation::kGelu: return body(Gelu{first, second});
    case Activation::kGeluTanh: return body(GeluTanh{first, second});
    case Activation::kSilu: return body(Silu{first, second});
    case Activation::kElu: return body(Elu{first, second});
    case Activation::kHardSigmoid: return body(HardSigmoid{first, second});
    case Activation::kSoftplus: return body(Softplus{first, second});
  }
}

}  // namespace

void activation_forward(Activation activation, const float* x, float* y, int64_t count, float first,
                        float second) {
  with_function(activation, first, second,
                [&](const auto& f) { map("activation_forward", f, x, y, count); });
}

void activation_backward(Activation activation, const float* dy, const float* saved, float* dx,
                         int64_t count, float first, float second) {
  with_function(activation, first, second,
                [&](const auto& f) { map("activation_backward", f, dy, saved, dx, count); });
}

}  // namespace neurona
