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

// The same for few channels and outputs, and many pixels: false where they are not used. The last
// one has the gradient of the bias too, unless `db` is null.
bool conv2d_narrow_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y);
bool conv2d_narrow_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const float* bias, float* dx);
bool conv2d_narrow_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw, float* db);
// Both at once, of small layers alone.
bool conv2d_narrow_backward(const Conv2dShape& shape, const float* dy, const float* x,
                            const float* weight, float* dx, float* dw, float* db);

// Of those the ones with stride 1 and filters of 3 or 5 columns: false for the others.
struct RowTarget;
bool conv2d_windows_forward(const Conv2dShape& shape, const float* x, const float* weight,
                            const RowTarget& target);
bool conv2d_windows_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const RowTarget& target);
bool conv2d_windows_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                    float* dw, float* db);
bool conv2d_windows_backward(const Conv2dShape& shape, const float* dy, const float* x,
                             const float* weight, const RowTarget& target, float* dw, float* db);

// The same on the tensor cores of sm_90, at a lower precision than "highest": false where they are
// not used, which leaves everything as it was. dx goes to `pixels`, with its bias if there is one.
bool conv2d_packed_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const RowTarget& target);
bool conv2d_packed_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const RowTarget& pixels);
bool conv2d_packed_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw);

// One filter per channel (groups = C = K), threads along the channels.
void conv2d_depthwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y);
void conv2d_depthwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx);
void conv2d_depthwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw);

// Of those the ones with 3, 5 or 7 taps squared and strides of 1 or 2: false for the others.
bool conv2d_depthwise_walk_forward(const Conv2dShape& shape, const float* x, const float* weight,
                                   const RowTarget& target);
bool conv2d_depthwise_walk_backward_data(const Conv2dShape& shape, const float* dy,
                                         const float* weight, const RowTarget& target);

}  // namespace neurona
