// One switch per pass; no loop over pixels lives here.
#include "ops/conv2d.h"

#include "ops/conv2d_variants.h"
#include "ops/gemm.h"

namespace neurona {

void conv2d_forward(const Conv2dShape& shape, Conv2dVariant variant, const float* x,
                    const float* weight, const float* bias, TileActivation activation, float* y) {
  if (shape.n == 0) return;
  switch (variant) {
    case Conv2dVariant::kNaive: return conv2d_naive_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kDirect:
      return conv2d_direct_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kIm2col:
      return conv2d_im2col_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kPointwise:
      return conv2d_pointwise_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kScatter: break;  // refused by the plan
    case Conv2dVariant::kDepthwise:
      return conv2d_depthwise_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kNarrow:
      return conv2d_narrow_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kWinograd:
      return conv2d_winograd_forward(shape, x, weight, bias, activation, y);
    case Conv2dVariant::kWinogradColumns:
      return conv2d_winograd_columns_forward(shape, x, weight, bias, activation, y);
  }
}

void conv2d_backward_data(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                          const float* weight, const float* bias, float* dx) {
  if (shape.n == 0) return;
  switch (variant) {
    case Conv2dVariant::kNaive: return conv2d_naive_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kDirect: return conv2d_direct_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kIm2col: return conv2d_im2col_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kPointwise:
      return conv2d_pointwise_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kScatter: return conv2d_scatter_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kDepthwise:
      return conv2d_depthwise_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kNarrow: break;  // refused by the plan
    case Conv2dVariant::kWinograd:
      return conv2d_winograd_backward_data(shape, dy, weight, bias, dx);
    case Conv2dVariant::kWinogradColumns:
      return conv2d_winograd_columns_backward_data(shape, dy, weight, bias, dx);
  }
}

namespace {

void filter_gradient(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                     const float* x, float* dw) {
  switch (variant) {
    case Conv2dVariant::kNaive: return conv2d_naive_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kDirect: return conv2d_direct_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kIm2col: return conv2d_im2col_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kPointwise: return conv2d_pointwise_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kScatter: break;  // refused by the plan
    case Conv2dVariant::kDepthwise: return conv2d_depthwise_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kNarrow: return conv2d_narrow_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kWinograd: return conv2d_winograd_backward_weight(shape, dy, x, dw);
    case Conv2dVariant::kWinogradColumns:
      return conv2d_winograd_columns_backward_weight(shape, dy, x, dw);
  }
}

}  // namespace

void conv2d_backward_weight(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                            const float* x, float* dw, float* db) {
  filter_gradient(shape, variant, dy, x, dw);
  if (db) column_sums(dy, shape.n * shape.p * shape.q, shape.k, shape.k, db);
}

void conv2d_backward(const Conv2dShape& shape, const Conv2dVariants& variants, const float* dy,
                     const float* x, const float* weight, const Conv2dGradients& to) {
  conv2d_backward_data(shape, variants.data, dy, weight, nullptr, to.dx);
  conv2d_backward_weight(shape, variants.weight, dy, x, to.dw, to.db);
}

}  // namespace neurona
