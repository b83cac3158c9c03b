// The algorithms behind conv2d.cu, each with its three passes; the arguments are those of
// ops/conv2d.h.
#pragma once

#include "core/conv2d_shape.h"
#include "ops/gemm.h"

namespace neurona {

// One thread per element, sums in double: for any shape.
void conv2d_naive_forward(const Conv2dShape& shape, const float* x, const float* weight,
                          const float* bias, TileActivation activation, float* y);
void conv2d_naive_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                const float* bias, float* dx);
void conv2d_naive_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                  float* dw);

// The product of product.cuh over patches that are never written down.
void conv2d_direct_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y);
void conv2d_direct_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const float* bias, float* dx);
void conv2d_direct_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw);

// One filter per channel (groups = C = K), threads along the channels.
void conv2d_depthwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y);
void conv2d_depthwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx);
void conv2d_depthwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw);

}  // namespace neurona
