// Activations and their gradients, element by element on contiguous arrays.
#pragma once

#include <stdint.h>

namespace neurona {

enum class Activation : int32_t { kRelu, kLeakyRelu, kSigmoid, kTanh, kGelu, kGeluTanh, kSilu };
constexpr int kActivationCount = 7;

struct ActivationKernels {
  // y[i] = f(x[i]) for i < count; y may be x. `slope` is leaky_relu's and ignored by the others.
  void (*forward[kActivationCount])(const float* x, float* y, int64_t count, float slope);
  // dx[i] = dy[i] f'; `saved` is the output y for relu, sigmoid and tanh, and the input x for the
  // others.
  void (*backward[kActivationCount])(const float* dy, const float* saved, float* dx, int64_t count,
                                     float slope);
};

}  // namespace neurona
