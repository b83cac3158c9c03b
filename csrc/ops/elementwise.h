// Element-wise arithmetic with NumPy's broadcasting, on arrays of any strides.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/elementwise.h"

namespace neurona {

// An operand seen with the result's shape: the stride of an axis along which it repeats is 0.
struct Broadcast {
  const float* data;
  std::vector<int64_t> strides;  // in elements
};

// y[i] = a[i] op b[i] for arrays that are dense in one and the same order.
void arithmetic_dense(Arithmetic operation, const float* a, const float* b, float* y,
                      int64_t count);
// y[i] = a[i] op b, or a op b[i], with one of them a single value.
void arithmetic_scalar(Arithmetic operation, const float* a, float b, float* y, int64_t count);
void arithmetic_scalar(Arithmetic operation, float a, const float* b, float* y, int64_t count);
// Any strides. `y_strides` are those of a dense array, in any order of its axes.
void arithmetic_broadcast(Arithmetic operation, const Broadcast& a, const Broadcast& b, float* y,
                          const std::vector<int64_t>& shape, const std::vector<int64_t>& y_strides);

}  // namespace neurona
