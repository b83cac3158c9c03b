// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): forward, and backward data, which is the
// forward pass of dy with the taps turned by 180 degrees and the channels' roles exchanged.
//
// A block of output tiles goes through all three steps on one thread: its pixels are transformed
// to V[frequency][tile][channel], each frequency is a product with U[frequency][channel][out
// channel], and the products M[frequency][tile][out channel] are transformed back into pixels. V
// and M never leave the core's cache where the channels are few; the whole of them would be 2.25
// times the images.
#include <algorithm>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"
#include "ops/winograd_tiles.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16, kMaxColumns = 64;  // of a tile of the product
constexpr int kTaps = 9, kChunk = 16;           // channels whose weights are transformed together

struct WinogradConvolution {
  ImageView source;  // of the first image; the next follow without a gap
  int64_t batch;
  Pair padding;
  float* out;
  int64_t out_height, out_width, out_channels;
  // Tap t of a channel pair at weight[channel * channel_stride + out_channel * out_channel_stride +
  // t], or, turned, at 8 - t.
  const float* weight;
  int64_t channel_stride, out_channel_stride;
  bool turned;
  const float* bias;
  TileActivation activation;
};

struct Plan {
  const WinogradConvolution& conv;
  const GemmKernels& gemm;
  const WinogradKernels& winograd;
  int64_t channels, panels, packed_columns;
  TileGrid grid;
  int64_t tiles;
  int64_t block_tiles, blocks;
  int64_t u_step, v_step, m_step;  // floats from one frequency to the next

  explicit Plan(const WinogradConvolution& c)
      : conv(c),
        gemm(kernels().gemm),
        winograd(kernels().winograd),
        channels(c.source.channels),
        grid{c.batch, c.out_height, c.out_width} {
    panels = divide_up(c.out_channels, gemm.columns);
    packed_columns = (panels - 1) * gemm.columns + panel_width(panels - 1);
    tiles = grid.tiles();
    choose_blocks();
    u_step = spread(channels * packed_columns);
    v_step = spread(block_tiles * channels);
    m_step = spread(block_tiles * c.out_channels);
  }

  // V and M of a block should fit in half of L2 beside a panel of U. Where that leaves only a few
  // tiles, U would stream by too often (it is read once per block): then more tiles, whose V and M
  // pass through L3 once.
  void choose_blocks() {
    const int64_t tile_bytes =
        kFrequencies * static_cast<int64_t>(sizeof(float)) * (channels + conv.out_channels);
    const int64_t in_l2 = cache_sizes().l2 / 2 / tile_bytes;
    const int64_t wanted = in_l2 >= 2 * gemm.pointer_rows ? in_l2 : kTilesThroughL3;
    // Whole tiles of the product; rounded down, so that what is left for a last block is small.
    const int64_t fair = std::max<int64_t>(1, divide_up(tiles, num_threads()));
    block_tiles = std::min(wanted, fair);
    if (block_tiles > gemm.pointer_rows) block_tiles -= block_tiles % gemm.pointer_rows;
    blocks = divide_up(tiles, block_tiles);
  }

  static constexpr int64_t kTilesThroughL3 = 64;

  int64_t panel_width(int64_t panel) const {
    return conv.out_channels - panel * gemm.columns > gemm.lanes ? gemm.columns : gemm.lanes;
  }
};

// U of the channels [begin, end), at most kChunk, of one panel: u[frequency][panel][channel][column
// of the panel]. The taps are brought side by side first: read one by one they would lie 9 C floats
// apart, and lines a power of two apart meet in few sets of L1.
void transform_weights(const Plan& plan, int64_t panel, int64_t begin, int64_t end, float* u) {
  const WinogradConvolution& conv = plan.conv;
  const int64_t first = panel * plan.gemm.columns, step = plan.panel_width(panel);
  const int64_t width = std::min(step, conv.out_channels - first);
  const float* source = conv.weight + begin * conv.channel_stride + first * conv.out_channel_stride;
  const bool one_line = conv.channel_stride == kTaps;  // the taps of successive channels
  float taps[kChunk * kTaps * kMaxColumns];
  for (int64_t channel = begin; channel < (one_line ? begin + 1 : end); ++channel)
    plan.gemm.pack_lines(source + (channel - begin) * conv.channel_stride, conv.out_channel_stride,
                         width, one_line ? kTaps * (end - begin) : kTaps,
                         taps + (channel - begin) * kTaps * step, step);
  for (int64_t channel = begin; channel < end; ++channel)
    plan.winograd.transform_weight(taps + (channel - begin) * kTaps * step, step, conv.turned,
                                   u + first * plan.channels + channel * step, plan.u_step);
}

void transform_tile(const Plan& plan, int64_t tile, float* v, float* slab) {
  const WinogradConvolution& conv = plan.conv;
  const TilePlace place = plan.grid.place(tile);
  with_patch(image_of_batch(conv.source, place.image), place.row - conv.padding[0],
             place.column - conv.padding[1], kWinogradInput, slab,
             [&](const float* x, int64_t line, int64_t pixel) {
               plan.winograd.transform_input(x, line, pixel, plan.channels, v, plan.v_step);
             });
}

// M[frequency] = V[frequency] U[frequency] for `tiles` tiles.
void multiply(const Plan& plan, int64_t tiles, const float* u, const float* v, float* m) {
  const GemmKernels& gemm = plan.gemm;
  const int64_t out_channels = plan.conv.out_channels, offset = 0;
  const float* a_rows[kMaxRows];
  float* c_rows[kMaxRows];
  for (int64_t panel = 0; panel < plan.panels; ++panel) {
    const int64_t first = panel * gemm.columns;
    const int width = static_cast<int>(std::min<int64_t>(gemm.columns, out_channels - first));
    for (int64_t tile = 0; tile < tiles; tile += gemm.pointer_rows) {
      const int height = static_cast<int>(std::min<int64_t>(gemm.pointer_rows, tiles - tile));
      for (int t = 0; t < height; ++t) {
        a_rows[t] = v + (tile + t) * plan.channels;
        c_rows[t] = m + (tile + t) * out_channels + first;
      }
      gemm.tile_rows(height, width, a_rows, &offset, 1, plan.channels, u + first * plan.channels,
                     plan.panel_width(panel),
                     {c_rows, nullptr, 1.0f, false, TileActivation::kNone});
    }
  }
}

void run_block(const Plan& plan, int64_t block, const float* u, float* v, float* m, float* slab) {
  const WinogradConvolution& conv = plan.conv;
  const int64_t first = block * plan.block_tiles,
                tiles = std::min(plan.block_tiles, plan.tiles - first);
  for (int64_t t = 0; t < tiles; ++t) transform_tile(plan, first + t, v + t * plan.channels, slab);
  for (int f = 0; f < kFrequencies; ++f)
    multiply(plan, tiles, u + f * plan.u_step, v + f * plan.v_step, m + f * plan.m_step);
  const int64_t line = conv.out_width * conv.out_channels;
  for (int64_t t = 0; t < tiles; ++t) {
    const TilePlace place = plan.grid.place(first + t);
    plan.winograd.transform_output(
        m + t * conv.out_channels, plan.m_step, conv.out_channels,
        {.y = conv.out + (place.image * conv.out_height + place.row) * line +
              place.column * conv.out_channels,
         .line = line,
         .pixel = conv.out_channels,
         .rows = static_cast<int>(std::min<int64_t>(kWinogradTile, conv.out_height - place.row)),
         .columns =
             static_cast<int>(std::min<int64_t>(kWinogradTile, conv.out_width - place.column)),
         .bias = conv.bias,
         .activation = conv.activation});
  }
}

void run_winograd(const WinogradConvolution& conv) {
  const Plan plan(conv);
  const Scratch<float> u(kFrequencies * plan.u_step);
  const int64_t chunks = divide_up(plan.channels, kChunk);
  parallel_for(plan.panels * chunks, grain_for(kChunk * plan.gemm.columns * 64),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t channel = i % chunks * kChunk;
                   transform_weights(plan, i / chunks, channel,
                                     std::min<int64_t>(channel + kChunk, plan.channels), u.data());
                 }
               });
  parallel_for(plan.blocks, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> v(kFrequencies * plan.v_step), m(kFrequencies * plan.m_step),
        slab(kFrequencies * plan.channels);
    for (int64_t block = begin; block < end; ++block)
      run_block(plan, block, u.data(), v.data(), m.data(), slab.data());
  });
}

}  // namespace

void conv2d_winograd_forward(const Conv2dShape& shape, const float* x, const float* weight,
                             const float* bias, TileActivation activation, float* y) {
  run_winograd({.source = {x, shape.h, shape.w, shape.c, shape.c},
                .batch = shape.n,
                .padding = shape.padding,
                .out = y,
                .out_height = shape.p,
                .out_width = shape.q,
                .out_channels = shape.k,
                .weight = weight,
                .channel_stride = 9,
                .out_channel_stride = 9 * shape.c,
                .turned = false,
                .bias = bias,
                .activation = activation});
}

void conv2d_winograd_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                   const float* bias, float* dx) {
  run_winograd({.source = {dy, shape.p, shape.q, shape.k, shape.k},
                .batch = shape.n,
                .padding = {2 - shape.padding[0], 2 - shape.padding[1]},
                .out = dx,
                .out_height = shape.h,
                .out_width = shape.w,
                .out_channels = shape.c,
                .weight = weight,
                .channel_stride = 9 * shape.c,
                .out_channel_stride = 9,
                .turned = true,
                .bias = bias,
                .activation = TileActivation::kNone});
}

}  // namespace neurona
