// Max and min pooling of channels-last arrays (N, H, W, C) in memory.
//
//   y = the largest (smallest) element of each window, offsets = r * S + s of the first one; NaN
//   wins, padding never does dx[n, h, w, c] = sum of the dy whose window was won by (h, w)
// All outputs are overwritten. Offsets are uint8_t, or int32_t unless shape.byte_offsets().
#pragma once

#include <cstdint>

#include "core/pool2d_shape.h"

namespace neurona {

enum class Extremum { kMax, kMin };

// `offsets` may be null: they are not computed then.
void select_pool2d_forward(const Pool2dShape& shape, Extremum extremum, const float* x, float* y,
                           void* offsets);

// `rectified` is y where a ReLU came before or behind the pooling, whose gradient is taken with it:
// dy counts where that is above 0, or NaN. Otherwise it is null. ValueError of `op` as from
// check_offsets(); dx is undefined then.
void select_pool2d_backward(const char* op, const Pool2dShape& shape, const float* dy,
                            const void* offsets, const float* rectified, float* dx);

// indices = h * W + w of the winners.
void pool2d_indices(const Pool2dShape& shape, const void* offsets, int64_t* indices);

// ValueError naming the first offset that does not name an element of its window inside the image.
void check_offsets(const char* op, const Pool2dShape& shape, const void* offsets);

}  // namespace neurona
