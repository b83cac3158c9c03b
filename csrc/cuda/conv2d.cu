// One switch per pass, as in csrc/ops/conv2d.cpp.
#include "ops/conv2d.h"

#include "cuda/conv2d_variants.h"
#include "ops/gemm.h"

namespace neurona {

void conv2d_forward(const Conv2dShape& shape, Conv2dVariant variant, const float* x,
                    const float* weight, const float* bias, TileActivation activation, float* y) {
  if (shape.n == 0) return;
  if (variant == Conv2dVariant::kNaive)
    return conv2d_naive_forward(shape, x, weight, bias, activation, y);
  if (variant == Conv2dVariant::kDepthwise)
    return conv2d_depthwise_forward(shape, x, weight, bias, activation, y);
  if (conv2d_narrow_forward(shape, x, weight, bias, activation, y)) return;
  conv2d_direct_forward(shape, x, weight, bias, activation, y);
}

void conv2d_backward_data(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                          const float* weight, const float* bias, float* dx) {
  if (shape.n == 0) return;
  if (variant == Conv2dVariant::kNaive)
    return conv2d_naive_backward_data(shape, dy, weight, bias, dx);
  if (variant == Conv2dVariant::kDepthwise)
    return conv2d_depthwise_backward_data(shape, dy, weight, bias, dx);
  if (conv2d_narrow_backward_data(shape, dy, weight, bias, dx)) return;
  conv2d_direct_backward_data(shape, dy, weight, bias, dx);
}

void conv2d_backward_weight(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                            const float* x, float* dw, float* db) {
  if (variant == Conv2dVariant::kNaive)
    conv2d_naive_backward_weight(shape, dy, x, dw);
  else if (variant == Conv2dVariant::kDepthwise)
    conv2d_depthwise_backward_weight(shape, dy, x, dw);
  else if (conv2d_narrow_backward_weight(shape, dy, x, dw, db))
    return;
  else
    conv2d_direct_backward_weight(shape, dy, x, dw);
  if (db) column_sums(dy, shape.n * shape.p * shape.q, shape.k, shape.k, db);
}

void conv2d_backward(const Conv2dShape& shape, const Conv2dVariants& variants, const float* dy,
                     const float* x, const float* weight, const Conv2dGradients& to) {
  const bool are_direct =
      variants.data == Conv2dVariant::kDirect && variants.weight == Conv2dVariant::kDirect;
  if (are_direct && conv2d_narrow_backward(shape, dy, x, weight, to.dx, to.dw, to.db)) return;
  conv2d_backward_data(shape, variants.data, dy, weight, nullptr, to.dx);
  conv2d_backward_weight(shape, variants.weight, dy, x, to.dw, to.db);
}

}  // namespace neurona
