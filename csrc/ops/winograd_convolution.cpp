#include "ops/winograd_convolution.h"

#include <algorithm>

namespace neurona {
namespace {

constexpr int kMaxRows = 16, kMaxColumns = 64;  // of a tile of the product
constexpr int64_t kTapsAtOnce = 16 * 9;  // brought side by side together: those of 16 or 5 channels

}  // namespace

// The taps are brought side by side first: read one by one they would lie 9 C or 25 C floats apart,
// and lines a power of two apart meet in few sets of L1.
void winograd_transform_weights(const WinogradConvolution& conv, const WeightPart& part, float* u,
                                int64_t u_step) {
  const GemmKernels& gemm = kernels().gemm;
  const int64_t step = part.step, width = part.last - part.first;
  const int64_t filter = conv.taps * conv.taps, together = kTapsAtOnce / filter;
  const bool one_line = conv.channel_stride == filter;  // the taps of successive channels
  float taps[kTapsAtOnce * kMaxColumns];
  for (int64_t begin = part.begin; begin < part.end; begin += together) {
    const int64_t count = std::min(together, part.end - begin);
    const float* source =
        conv.weight + begin * conv.channel_stride + part.first * conv.out_channel_stride;
    for (int64_t channel = 0; channel < (one_line ? 1 : count); ++channel) {
      // A new page, which the hardware does not foresee.
      if (!one_line && begin + channel + 1 < part.end)
        prefetch(source + (channel + 1) * conv.channel_stride, filter * width);
      gemm.pack_lines(source + channel * conv.channel_stride, conv.out_channel_stride, width,
                      one_line ? filter * count : filter, taps + channel * filter * step, step);
    }
    for (int64_t channel = 0; channel < count; ++channel)
      conv.transforms().transform_weight(taps + channel * filter * step, step, conv.turned,
                                         u + (begin - part.begin + channel) * step, u_step);
  }
}

void winograd_multiply(const WinogradProduct& product, const float* v, const float* u, float* m) {
  const GemmKernels& gemm = kernels().gemm;
  const int64_t offset = 0;
  const float* a_rows[kMaxRows];
  float* c_rows[kMaxRows];
  for (int64_t tile = 0; tile < product.tiles; tile += gemm.pointer_rows) {
    const int height = static_cast<int>(std::min<int64_t>(gemm.pointer_rows, product.tiles - tile));
    for (int t = 0; t < height; ++t) {
      a_rows[t] = v + (tile + t) * product.v_row;
      c_rows[t] = m + (tile + t) * product.m_row;
    }
    gemm.tile_rows(height, static_cast<int>(product.width), a_rows, &offset, 1, product.length, u,
                   product.step,
                   {c_rows, nullptr, 1.0f, product.accumulate, TileActivation::kNone});
  }
}

void winograd_prefetch_patch(const WinogradConvolution& conv, int64_t tile) {
  const TilePlace place = conv.grid().place(tile);
  prefetch_patch(image_of_batch(conv.source, place.image), place.row - conv.padding[0],
                 place.column - conv.padding[1], kWinogradInput, conv.grid().tile);
}

void winograd_prefetch_output(const WinogradConvolution& conv, int64_t tile) {
  const TilePlace place = conv.grid().place(tile);
  const ImageView out{conv.out, conv.out_height, conv.out_width, conv.out_channels,
                      conv.out_channels};
  prefetch_patch(image_of_batch(out, place.image), place.row, place.column, conv.grid().tile,
                 conv.grid().tile);
}

void winograd_finish_tile(const WinogradConvolution& conv, int64_t tile, int64_t first,
                          int64_t width, const float* m, int64_t m_step) {
  const TileGrid grid = conv.grid();
  const TilePlace place = grid.place(tile);
  const int64_t line = conv.out_width * conv.out_channels;
  conv.transforms().transform_output(
      m, m_step, width,
      {.y = conv.out + (place.image * conv.out_height + place.row) * line +
            place.column * conv.out_channels + first,
       .line = line,
       .pixel = conv.out_channels,
       .rows = static_cast<int>(std::min(grid.tile, conv.out_height - place.row)),
       .columns = static_cast<int>(std::min(grid.tile, conv.out_width - place.column)),
       .bias = conv.bias ? conv.bias + first : nullptr,
       .activation = conv.activation});
}

}  // namespace neurona
