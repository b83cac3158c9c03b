// Activations on contiguous arrays, in parallel. Formulas: kernels/activation.isa.inl.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace neurona {

constexpr float kDefaultSlope = 0.01f;  // of leaky_relu

// y[i] = f(x[i]); y may be x. `first` and `second` are the parameters of the formulas.
void activation_forward(Activation activation, const float* x, float* y, int64_t count,
                        float first = kDefaultSlope, float second = 0);
// dx from dy and what the forward pass saved: the output y for relu, sigmoid and tanh, the input x
// for the others.
void activation_backward(Activation activation, const float* dy, const float* saved, float* dx,
                         int64_t count, float first = kDefaultSlope, float second = 0);

}  // namespace neurona
