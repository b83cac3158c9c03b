#include "ops/linear.h"

#include "ops/activation.h"

namespace neurona {

void linear_backward(const LinearShape& shape, const float* dy, const float* x, const float* weight,
                     bool rectified, const LinearGradients& to) {
  const auto [n, in, out] = shape;
  if (to.dx) gemm({n, in, out}, {dy, out, false}, {weight, in, false}, to.dx, in, {});
  if (to.dx && rectified) activation_backward(Activation::kRelu, to.dx, x, to.dx, n * in);
  if (to.dw) gemm({out, in, n}, {dy, out, true}, {x, in, false}, to.dw, in, {});
  if (to.db) column_sums(dy, n, out, out, to.db);
}

}  // namespace neurona
