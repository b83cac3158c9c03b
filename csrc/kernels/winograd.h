// The transforms of Winograd's minimal filtering F(4x4, 3x3) (Winograd 1980; Lavin and Gray 2016).
//
// The 4x4 pixels of an output tile are A^T [(G g G^T) . (B^T d B)] A, with g the 3x3 taps of a
// channel pair and d the 6x6 pixels that the tile reads: 36 products in the place of 144, summed
// over the channels before A. A product of one of the 36 places, here called frequencies, is a
// matrix product of tiles x channels with channels x output channels.
#pragma once

#include <stdint.h>

#include "kernels/gemm.h"

namespace neurona {

constexpr int kWinogradTile = 4;   // output pixels, in each direction
constexpr int kWinogradInput = 6;  // pixels that a tile reads
constexpr int kFrequencies = kWinogradInput * kWinogradInput;

// Where the pixels of an output tile go: (i, j) to y[i * line + j * pixel + channel], as far as
// they are inside the image.
struct WinogradOutput {
  float* y;
  int64_t line, pixel;
  int rows, columns;  // 1 to 4 of the tile are inside
  const float* bias;  // a value per channel, or null
  TileActivation activation;
};

struct WinogradKernels {
  // B^T d B: pixel (i, j) of d at x[i * line + j * pixel + channel] -> v[f * step + channel].
  void (*transform_input)(const float* x, int64_t line, int64_t pixel, int64_t channels, float* v,
                          int64_t step);
  // G g G^T in double, rounded once: tap (r, s) of output channel i at g[(3 r + s) * width + i] ->
  // u[f * step + i]; `turned`: tap (2 - r, 2 - s) instead. width is a multiple of the lanes.
  void (*transform_weight)(const float* g, int64_t width, bool turned, float* u, int64_t step);
  // A d A^T, the gradient of A^T m A: pixel (i, j) of the 4x4 of d at dy[i * line + j * pixel +
  // channel] -> v[f * step + channel].
  void (*transform_gradient)(const float* dy, int64_t line, int64_t pixel, int64_t channels,
                             float* v, int64_t step);
  // G^T u G in double, rounded once: u[f * step + i] -> g[(3 r + s) * width + i].
  void (*transform_weight_gradient)(const float* u, int64_t step, int64_t width, float* g);
  // A^T m A with bias and activation, from m[f * step + channel]; overwrites the output.
  void (*transform_output)(const float* m, int64_t step, int64_t channels,
                           const WinogradOutput& out);
};

}  // namespace neurona
