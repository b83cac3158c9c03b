// Routines of resampling, for one row at a time of images (H, W, channels); see ops/resample.h.
#pragma once

#include <stdint.h>

namespace neurona {

// What the pixels of a row of y read: pixel below[q] of x, or, unless `above` is null,
// x[below] (1 - part) + x[above] part.
struct ResampleTaps {
  const int32_t *below, *above;
  const float* part;
  int64_t count;
};

// The other way round: pixel i of dx is the sum of weight[k] dy[source[k]] over start[i] <= k <
// start[i + 1].
struct ResampleSums {
  const int64_t* start;
  const int32_t* source;
  const float* weight;
  int64_t count;
};

// `x_end`: where the array ends that a row lies in; nothing is read behind it. `y_end`: where the
// rows end that the caller fills in ascending order; what lies between a row and that end may be
// overwritten, nothing else.
struct ResampleKernels {
  // y = below (1 - part) + above part.
  void (*blend)(const float* below, const float* above, float part, float* y, int64_t count);
  // A row of y from one of x.
  void (*read_row)(const ResampleTaps& taps, int64_t channels, const float* x, const float* x_end,
                   float* y, float* y_end);
  // y = sum of weight[k] times row source[k] of x, for `terms` rows of `count` floats.
  void (*sum_rows)(const int32_t* source, const float* weight, int64_t terms, const float* x,
                   float* y, int64_t count);
  // A row of dx from one of dy.
  void (*sum_row)(const ResampleSums& sums, int64_t channels, const float* dy, const float* dy_end,
                  float* dx, float* dx_end);
};

}  // namespace neurona
