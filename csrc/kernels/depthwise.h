// Inner routines of depthwise convolution: one filter per channel, vectors along the channels.
#pragma once

#include <stdint.h>

#include "kernels/gemm.h"

namespace neurona {

// A row of outputs, the row of inputs that it reads, and the taps between them.
struct DepthwiseRow {
  int64_t outputs, inputs, taps, stride, dilation, padding, channels;
};

// The rows of inputs that a row of outputs reads, the weights of each as [tap][channel], and what
// is done to the sums; bias may be null.
struct DepthwiseLines {
  int64_t count;
  const float* const* inputs;
  const float* const* weights;
  const float* bias;
  TileActivation activation;
};

struct DepthwiseKernels {
  // out[q][c] = act(bias[c] + sum over lines i and taps s of inputs[i][w][c] * weights[i][s][c]),
  // for w = q * stride + s * dilation - padding inside. `out` is overwritten.
  void (*row)(const DepthwiseRow& row, const DepthwiseLines& lines, float* out);
  // out[c] = bias[c] + sum over t < taps of sources[t][c] * weights[t][c]; bias may be null. `out`
  // is overwritten.
  void (*pixel)(const float* const* sources, const float* const* weights, int64_t taps,
                const float* bias, int64_t channels, float* out);
  // sums[s * channels + c] += sum over q of dy[q * channels + c] * x[w * channels + c], for each
  // tap s of a row of the kernel and the outputs q whose input w = q * stride + s * dilation -
  // padding is inside.
  void (*row_gradient)(const DepthwiseRow& row, const float* x, const float* dy, float* sums);
};

}  // namespace neurona
