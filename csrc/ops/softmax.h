// Softmax and log-softmax along one axis of a dense array, with their gradients. Formulas:
// kernels/softmax.isa.inl.
#pragma once

#include "core/axis_view.h"

namespace neurona {

void softmax_forward(const AxisView& view, const float* x, float* y);
void log_softmax_forward(const AxisView& view, const float* x, float* y);
void softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx);
void log_softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx);

}  // namespace neurona
