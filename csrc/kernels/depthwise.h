// Inner routines of depthwise convolution: one filter per channel, vectors along the channels.
#pragma once

#include <stdint.h>

namespace neurona {

struct DepthwiseKernels {
  // out[c] = bias[c] + sum over t < taps of sources[t][c] * weights[t][c]; bias may be null. `out`
  // is overwritten.
  void (*pixel)(const float* const* sources, const float* const* weights, int64_t taps,
                const float* bias, int64_t channels, float* out);
  // sums[c] += sum over i < count of x[i * x_step + c] * dy[i * dy_step + c]
  void (*row_products)(const float* x, int64_t x_step, const float* dy, int64_t dy_step,
                       int64_t count, int64_t channels, float* sums);
};

}  // namespace neurona
