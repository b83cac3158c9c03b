// Activations and their gradients, element by element on contiguous arrays.
#pragma once

#include <stdint.h>

namespace neurona {

enum class Activation : int32_t {
  kRelu,
  kLeakyRelu,
  kSigmoid,
  kTanh,
  kGelu,
  kGeluTanh,
  kSilu,
  kElu,
  kHardSigmoid,
  kSoftplus
};
constexpr int kActivationCount = 10;

struct ActivationKernels {
  // y[i] = f(x[i]) for i < count; y may be x. What `first` and `second` mean stands with the
  // formulas; functions without parameters ignore them. past_caches: how to store, see stream.inl.
  void (*forward[kActivationCount])(const float* x, float* y, int64_t count, float first,
                                    float second, bool past_caches);
  // dx[i] = dy[i] f'; `saved` is the output y for relu, sigmoid and tanh, and the input x for the
  // others.
  void (*backward[kActivationCount])(const float* dy, const float* saved, float* dx, int64_t count,
                                     float first, float second, bool past_caches);
};

}  // namespace neurona
