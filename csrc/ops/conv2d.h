// 2-D convolution and its two gradients, float32, images in channels-last memory.
//
//   forward          y[n,k,p,q]  = b[k] + sum over c,r,s of x[n,c,h,w] * w[k,c,r,s]
//   backward data    dx[n,c,h,w] = sum over k,r,s of dy[n,k,p,q] * w[k,c,r,s]
//   backward weight  dw[k,c,r,s] = sum over n,p,q of dy[n,k,p,q] * x[n,c,h,w]
//                    db[k]       = sum over n,p,q of dy[n,k,p,q]
//
// with h = p * stride + r * dilation - padding, and w from q and s likewise.
//
// x, y, dx, dy are NHWC in memory; w and dw are (K, C/groups, R, S) in C order. All outputs are
// overwritten.
#pragma once

#include "core/conv2d_shape.h"
#include "kernels/gemm.h"
#include "ops/conv2d_plan.h"

namespace neurona {

void conv2d_forward(const Conv2dShape& shape, Conv2dVariant variant, const float* x,
                    const float* weight, const float* bias, TileActivation activation, float* y);
// `bias` (C values, or null) is added to dx: a transposed convolution is this pass with a bias.
void conv2d_backward_data(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                          const float* weight, const float* bias, float* dx);
// `db` is null where it is not wanted.
void conv2d_backward_weight(const Conv2dShape& shape, Conv2dVariant variant, const float* dy,
                            const float* x, float* dw, float* db);

// Both at once, each by its variant.
struct Conv2dVariants {
  Conv2dVariant data, weight;
};
struct Conv2dGradients {
  float *dx, *dw, *db;
};
void conv2d_backward(const Conv2dShape& shape, const Conv2dVariants& variants, const float* dy,
                     const float* x, const float* weight, const Conv2dGradients& to);

}  // namespace neurona
