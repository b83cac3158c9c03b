// The gradients of a linear layer, y = x weight^T + bias with x (n, in), weight (out, in), y (n,
// out).
#pragma once

#include "ops/activation.h"
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

// The same by one kernel after the other.
inline void linear_backward_in_turn(const LinearShape& shape, const float* dy, const float* x,
                                    const float* weight, bool rectified,
                                    const LinearGradients& to) {
  const auto [n, in, out] = shape;
  if (to.dx) gemm({n, in, out}, {dy, out, false}, {weight, in, false}, to.dx, in, {});
  if (to.dx && rectified) activation_backward(Activation::kRelu, to.dx, x, to.dx, n * in);
  if (to.dw) gemm({out, in, n}, {dy, out, true}, {x, in, false}, to.dw, in, {});
  if (to.db) column_sums(dy, n, out, out, to.db);
}

}  // namespace neurona
