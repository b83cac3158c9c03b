// The gradients of a linear layer, y = x weight^T + bias with x (n, in), weight (out, in), y (n,
// out).
#pragma once

#include "ops/gemm.h"

namespace neurona {

struct LinearShape {
  int64_t n, in, out;
};

// Null where one is not wanted.
struct LinearGradients {
  float *dx, *dw, *db;
};

// dx = dy weight, dw = dy^T x, db = the column sums of dy. The weight is not read without dx. If x
// is `rectified`, a ReLU's y, dx is the gradient before that: 0 unless x is above 0, or NaN.
void linear_backward(const LinearShape& shape, const float* dy, const float* x, const float* weight,
                     bool rectified, const LinearGradients& to);

}  // namespace neurona
