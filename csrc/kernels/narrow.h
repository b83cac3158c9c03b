// Inner routines of a convolution of one input channel with few output channels K: so few that a
// vector takes several neighbouring pixels, lane j * K + k being output channel k of pixel j.
//
// An expanded line holds one such vector per source pixel: lane j * K + k of vector m is line[m +
// j], which is what output pixel m + j - s needs for tap s. Lanes behind the last whole pixel are
// zero.
#pragma once

#include <stdint.h>

#include "kernels/gemm.h"

namespace neurona {

// Where the expanded lines of an image are, and the size of the kernel and of an output row.
struct NarrowImage {
  const float* lines;  // line of output row p and tap r: lines + (p + r) * line
  int64_t line;        // floats from one line to the next
  int64_t taps_high, taps_wide;
  int64_t rows, columns, channels;  // of the output
};

struct NarrowKernels {
  int lanes;
  // Each row of `columns` floats of the source becomes columns - lanes / channels + 1 vectors.
  void (*expand)(const float* source, int64_t rows, int64_t columns, int64_t channels,
                 float* vectors);
  // The output rows, dense, from `weights` with one vector per tap, and one of the bias, each
  // repeating its K values for every pixel.
  void (*forward)(const NarrowImage& image, const float* weights, const float* bias,
                  TileActivation activation, float* y);
  // sums[tap] += products of dy and x, a vector per tap; its lanes j * K + k are added by the
  // caller. taps_wide is 3 or 5.
  void (*weight)(const NarrowImage& image, const float* dy, float* sums);
};

}  // namespace neurona
