// The transforms of Winograd's minimal filtering F(4x4, 3x3) and F(2x2, 5x5) (Winograd 1980; Lavin
// and Gray 2016).
//
// The pixels of an output tile, 4x4 or 2x2, are A^T [(G g G^T) . (B^T d B)] A, with g the 3x3 or
// 5x5 taps of a channel pair and d the 6x6 pixels that the tile reads: 36 products in the place of
// 144 or 100, summed over the channels before A. Both have the same points and so the same B. A
// product of one of the 36 places, here called frequencies, is a matrix product of tiles x channels
// with channels x output channels.
#pragma once

#include <stdint.h>

#include "kernels/gemm.h"

namespace neurona {

constexpr int kWinogradInput = 6;  // pixels that a tile reads, in each direction
constexpr int kFrequencies = kWinogradInput * kWinogradInput;

// Output pixels of a tile, in each direction.
constexpr int64_t winograd_tile(int64_t taps) { return kWinogradInput + 1 - taps; }

// Where the pixels of an output tile go: (i, j) to y[i * line + j * pixel + channel], as far as
// they are inside the image.
struct WinogradOutput {
  float* y;
  int64_t line, pixel;
  int rows, columns;  // of the tile that are inside, at least 1
  const float* bias;  // a value per channel, or null
  TileActivation activation;
};

// For filters of R x R taps, R = 3 or 5.
struct WinogradTransforms {
  // B^T d B: pixel (i, j) of d at x[i * line + j * pixel + channel] -> v[f * step + channel].
  void (*transform_input)(const float* x, int64_t line, int64_t pixel, int64_t channels, float* v,
                          int64_t step);
  // G g G^T in double, rounded once: tap (r, s) of output channel i at g[(R r + s) * width + i] ->
  // u[f * step + i]; `turned`: tap (R-1 - r, R-1 - s) instead. width is a multiple of the lanes.
  void (*transform_weight)(const float* g, int64_t width, bool turned, float* u, int64_t step);
  // A d A^T, the gradient of A^T m A: pixel (i, j) of the tile d at dy[i * line + j * pixel +
  // channel] -> v[f * step + channel].
  void (*transform_gradient)(const float* dy, int64_t line, int64_t pixel, int64_t channels,
                             float* v, int64_t step);
  // G^T u G in double, rounded once: u[f * step + i] -> g[(R r + s) * width + i].
  void (*transform_weight_gradient)(const float* u, int64_t step, int64_t width, float* g);
  // A^T m A with bias and activation, from m[f * step + channel]; overwrites the output.
  void (*transform_output)(const float* m, int64_t step, int64_t channels,
                           const WinogradOutput& out);
};

struct WinogradKernels {
  WinogradTransforms taps3, taps5;

  const WinogradTransforms& of(int64_t taps) const { return taps == 3 ? taps3 : taps5; }
};

}  // namespace neurona
