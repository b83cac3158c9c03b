// Routines of batch normalisation over `rows` rows of `width` channels, row_step apart; see
// ops/batch_norm.h.
#pragma once

#include <stdint.h>

namespace neurona {

struct BatchNormKernels {
  // Per channel: a shift near the mean of these rows, and the sums of d and d^2 with d = x - shift.
  // Few rows, so that float32 sums are accurate; they are combined in double.
  void (*moments)(const float* x, int64_t rows, int64_t row_step, int64_t width, float* shift,
                  float* sum, float* squares);
  // Per channel: sums of dy and dy (x - mean). `gate`, which may be null, is the output of a relu
  // behind: where it is not above 0, dy counts as 0.
  void (*gradient_sums)(const float* dy, const float* gate, const float* x, int64_t rows,
                        int64_t row_step, int64_t width, const float* mean, float* sum,
                        float* product);
  // y = (x - mean) scale + bias, for rows that follow each other without gaps; with a relu, or of
  // an x with a gate as above. past_caches: how to store, see stream.inl.
  void (*normalize)(const float* x, const float* gate, int64_t rows, int64_t width,
                    const float* mean, const float* scale, const float* bias, bool relu, float* y,
                    bool past_caches);
  // dx = dy scale + (x - mean) slope + offset, likewise.
  void (*gradient)(const float* dy, const float* gate, const float* x, int64_t rows, int64_t width,
                   const float* mean, const float* scale, const float* slope, const float* offset,
                   float* dx, bool past_caches);
};

}  // namespace neurona
