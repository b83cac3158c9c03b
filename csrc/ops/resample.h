// Resampling of the rows and columns of images: nearest and linear interpolation, and its adjoint.
//
//   v[p, w] = x[h, w] (1 - a) + x[h', w] a       h, h', a: what `rows` says of p
//   y[p, q] = v[p, w] (1 - b) + v[p, w'] b       w, w', b: what `columns` says of q
// or v = x[h, w], y = v[p, w] where an axis has no second pixel. x (images, H, W, channels) and y
// (images, P, Q, channels) in memory, so that planes of C order are images of one channel. Outputs
// are overwritten.
#pragma once

#include <cstdint>

#include "core/resample_rules.h"

namespace neurona {

void resample2d_forward(int64_t images, int64_t channels, const ResampleAxis& rows,
                        const ResampleAxis& columns, const float* x, float* y);

void resample2d_backward(int64_t images, int64_t channels, const ResampleAxis& rows,
                         const ResampleAxis& columns, const float* dy, float* dx);

}  // namespace neurona
