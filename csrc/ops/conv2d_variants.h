// The algorithms behind ops/conv2d.h, one file each. Same arguments, same results up to rounding.
#pragma once

#include "core/conv2d_shape.h"
#include "kernels/gemm.h"

namespace neurona {

#define NEURONA_CONV2D_VARIANT(name)                                                              \
  void conv2d_##name##_forward(const Conv2dShape& shape, const float* x, const float* weight,     \
                               const float* bias, TileActivation activation, float* y);           \
  void conv2d_##name##_backward_data(const Conv2dShape& shape, const float* dy,                   \
                                     const float* weight, const float* bias, float* dx);          \
  void conv2d_##name##_backward_weight(const Conv2dShape& shape, const float* dy, const float* x, \
                                       float* dw);

NEURONA_CONV2D_VARIANT(naive)
NEURONA_CONV2D_VARIANT(direct)
NEURONA_CONV2D_VARIANT(im2col)
NEURONA_CONV2D_VARIANT(pointwise)
NEURONA_CONV2D_VARIANT(depthwise)
NEURONA_CONV2D_VARIANT(winograd)
NEURONA_CONV2D_VARIANT(winograd_columns)
#undef NEURONA_CONV2D_VARIANT

// Forward with weights in the variant's own order: how many floats that is, and how it is made. It
// depends on the weights' shape and the groups alone.
#define NEURONA_CONV2D_PACKED(name)                                                        \
  int64_t conv2d_##name##_packed_size(const Conv2dShape& shape);                           \
  void conv2d_##name##_pack(const Conv2dShape& shape, const float* weight, float* packed); \
  void conv2d_##name##_packed_forward(const Conv2dShape& shape, const float* x,            \
                                      const float* packed, const float* bias,              \
                                      TileActivation activation, float* y);

NEURONA_CONV2D_PACKED(direct)
NEURONA_CONV2D_PACKED(winograd)
#undef NEURONA_CONV2D_PACKED

// Why the narrow variant cannot run a shape, or null when it can.
const char* conv2d_narrow_objection(const Conv2dShape& shape);
void conv2d_narrow_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y);
void conv2d_narrow_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw);

void conv2d_scatter_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const float* bias, float* dx);

}  // namespace neurona
