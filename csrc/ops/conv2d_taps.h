// The engine of the direct algorithm: a convolution as matrix tiles on rows of pixels.
//
// Output pixel (i, j) of a grid is the sum over taps (a, b) and source channels of
//     source[i * step + rows[a].offset][j * step + columns[b].offset][channel] * weight[...]
// A forward pass is one such grid; a backward-data pass is stride x stride of them, one per phase
// of the output position (the taps that can reach a pixel depend on its position modulo the
// stride), so no zero is ever multiplied.
#pragma once

#include <cstdint>
#include <vector>

#include "core/conv2d_shape.h"
#include "kernels/gemm.h"
#include "ops/conv2d_slab.h"

namespace neurona {

struct Tap {
  int64_t offset;  // in source pixels
  int64_t index;   // r or s of the kernel
};

struct TapConvolution {
  // Source images, one `source_image` floats after the other.
  ImageView source;
  int64_t source_image;
  int64_t batch;
  std::vector<Tap> rows,
      columns;  // ascending offsets; either may be empty: then the output is the bias
  Pair step;
  // The output grid: pixel (i, j) of image n starts at out + n * out_image + i * out_row + j *
  // out_pixel.
  float* out;
  int64_t out_image, out_row, out_pixel;
  int64_t grid_rows, grid_columns;
  int64_t out_channels;
  // weight[channel * channel_stride + out_channel * out_channel_stride + r * kernel_width + s]
  const float* weight;
  int64_t channel_stride, out_channel_stride, kernel_width;
  const float* bias;  // out_channels values, or null
  TileActivation activation;
  const float* packed = nullptr;  // what pack_taps made of the weights, or null: made for the call
};

void run_taps(const TapConvolution& convolution);

// The weights as the tiles read them: floats, and how they are made. Images do not matter to it.
int64_t packed_taps_size(const TapConvolution& convolution);
void pack_taps(const TapConvolution& convolution, float* packed);

}  // namespace neurona
