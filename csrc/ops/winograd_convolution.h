// A 3x3 or 5x5 convolution of stride 1 by Winograd's algorithm, forward or backward data: the
// latter is the former of dy with the taps turned by 180 degrees and the channels' roles exchanged.
//
//   V[frequency][tile][channel]       the pixels that each output tile reads, transformed
//   U[frequency][channel][column]     the taps, transformed; columns are output channels
//   M[frequency][tile][column]        = V U, one product per frequency; transformed back it is y
#pragma once

#include "core/conv2d_shape.h"
#include "kernels/select.h"
#include "ops/winograd_tiles.h"

namespace neurona {

struct WinogradConvolution {
  ImageView source;  // of the first image; the next follow without a gap
  int64_t batch;
  Pair padding;
  float* out;
  int64_t out_height, out_width, out_channels;
  int64_t taps;  // in each direction, 3 or 5
  // Tap t of a channel pair at weight[channel * channel_stride + out_channel * out_channel_stride +
  // t], or, turned, at taps^2 - 1 - t.
  const float* weight;
  int64_t channel_stride, out_channel_stride;
  bool turned;
  const float* bias;
  TileActivation activation;

  int64_t bytes() const {  // of all images
    return batch * static_cast<int64_t>(sizeof(float)) *
           (source.height * source.width * source.channels + out_height * out_width * out_channels);
  }
  TileGrid grid() const { return {batch, out_height, out_width, winograd_tile(taps)}; }
  const WinogradTransforms& transforms() const { return kernels().winograd.of(taps); }
};

// Calls transform(data, line, pixel) for the 6x6 pixels that an output tile reads, as with_patch.
template <typename Transform>
void winograd_patch(const WinogradConvolution& conv, int64_t tile, float* slab,
                    const Transform& transform) {
  const TilePlace place = conv.grid().place(tile);
  with_patch(image_of_batch(conv.source, place.image), place.row - conv.padding[0],
             place.column - conv.padding[1], kWinogradInput, slab, transform);
}

// Ask for the pixels that a tile will read, and for the lines that it will write.
void winograd_prefetch_patch(const WinogradConvolution& conv, int64_t tile);
void winograd_prefetch_output(const WinogradConvolution& conv, int64_t tile);

// Channels that are summed up before they are added to M. The same in both orders, so that they
// give the same bits. 36 x 64 channels x 32 columns of U are 288 KiB.
constexpr int64_t kWinogradChunk = 64;

// Channels [begin, end) and columns [first, last), which are packed `step` floats apart.
struct WeightPart {
  int64_t begin, end;
  int64_t first, last, step;
};

// U of a part: u[frequency * u_step + (channel - begin) * step + column - first].
void winograd_transform_weights(const WinogradConvolution& conv, const WeightPart& part, float* u,
                                int64_t u_step);

// `tiles` rows of M = V U of one frequency, `length` channels and `width` columns; added to M if
// `accumulate`. Rows of V and M lie v_row and m_row floats apart, U's `step`.
struct WinogradProduct {
  int64_t tiles, length, width;
  int64_t v_row, step, m_row;
  bool accumulate;
};
void winograd_multiply(const WinogradProduct& product, const float* v, const float* u, float* m);

// Output columns [first, first + width) of a tile, from m[frequency * m_step + column - first].
void winograd_finish_tile(const WinogradConvolution& conv, int64_t tile, int64_t first,
                          int64_t width, const float* m, int64_t m_step);

// The two orders in which the three steps can run, to the same bits. The first makes all of U
// ahead, unless it is given.
void winograd_by_tiles(const WinogradConvolution& conv, const float* u = nullptr);
int64_t winograd_weights_size(const WinogradConvolution& conv);  // floats of U
void winograd_make_weights(const WinogradConvolution& conv, float* u);
void winograd_by_columns(const WinogradConvolution& conv);

}  // namespace neurona
