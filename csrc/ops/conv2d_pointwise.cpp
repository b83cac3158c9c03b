// 1x1 convolution, stride 1: Y (N H W, K) = X (N H W, C) * W^T, and the two products of its
// gradients.
#include "ops/conv2d_variants.h"
#include "ops/gemm.h"

namespace neurona {

void conv2d_pointwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y) {
  gemm({shape.n * shape.h * shape.w, shape.k, shape.c}, {x, shape.c, false},
       {weight, shape.c, true}, y, shape.k, {1.0f, false, bias, activation});
}

void conv2d_pointwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx) {
  gemm({shape.n * shape.h * shape.w, shape.c, shape.k}, {dy, shape.k, false},
       {weight, shape.c, false}, dx, shape.c, {1.0f, false, bias, TileActivation::kNone});
}

void conv2d_pointwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw) {
  gemm({shape.k, shape.c, shape.n * shape.h * shape.w}, {dy, shape.k, true}, {x, shape.c, false},
       dw, shape.c, {});
}

}  // namespace neurona
