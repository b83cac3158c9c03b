// Winograd for many tiles: U is made once, and a block of output tiles goes through all three steps
// on one thread, so that V and M never leave the core's cache where the channels are few; the whole
// of them would be 2.25 times the images.
#include <algorithm>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "ops/winograd_convolution.h"

namespace neurona {
namespace {

constexpr int64_t kPiece = 16;  // channels whose weights a thread transforms together

struct Plan {
  const WinogradConvolution& conv;
  const GemmKernels& gemm;
  int64_t channels, panels, packed_columns;
  int64_t tiles;
  int64_t block_tiles, blocks;
  int64_t u_step, v_step, m_step;  // floats from one frequency to the next
  bool asks_ahead;

  explicit Plan(const WinogradConvolution& c)
      : conv(c), gemm(kernels().gemm), channels(c.source.channels) {
    panels = divide_up(c.out_channels, gemm.columns);
    packed_columns = (panels - 1) * gemm.columns + panel_width(panels - 1);
    tiles = c.grid().tiles();
    choose_blocks();
    u_step = spread(channels * packed_columns);
    v_step = spread(block_tiles * channels);
    m_step = spread(block_tiles * c.out_channels);
    asks_ahead = comes_from_memory(c.bytes());
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

// U lies as u[frequency][panel][channel][column of the panel].
void transform_weights(const Plan& plan, int64_t panel, int64_t chunk, float* u) {
  const int64_t first = panel * plan.gemm.columns, step = plan.panel_width(panel),
                begin = chunk * kPiece;
  const WeightPart part{begin, std::min(begin + kPiece, plan.channels), first,
                        std::min(first + step, plan.conv.out_channels), step};
  winograd_transform_weights(plan.conv, part, u + first * plan.channels + begin * step,
                             plan.u_step);
}

void transform_tile(const Plan& plan, int64_t tile, float* v, float* slab) {
  winograd_patch(plan.conv, tile, slab, [&](const float* x, int64_t line, int64_t pixel) {
    plan.conv.transforms().transform_input(x, line, pixel, plan.channels, v, plan.v_step);
  });
}

// M[frequency] = V[frequency] U[frequency] for `tiles` tiles.
void multiply(const Plan& plan, int64_t tiles, const float* u, const float* v, float* m) {
  const int64_t out_channels = plan.conv.out_channels;
  for (int64_t panel = 0; panel < plan.panels; ++panel) {
    const int64_t first = panel * plan.gemm.columns, step = plan.panel_width(panel);
    for (int64_t channel = 0; channel < plan.channels; channel += kWinogradChunk) {
      const WinogradProduct product{
          .tiles = tiles,
          .length = std::min(kWinogradChunk, plan.channels - channel),
          .width = std::min<int64_t>(plan.gemm.columns, out_channels - first),
          .v_row = plan.channels,
          .step = step,
          .m_row = out_channels,
          .accumulate = channel > 0};
      winograd_multiply(product, v + channel, u + first * plan.channels + channel * step,
                        m + first);
    }
  }
}

// A 36th of what the transforms would wait for: the pixels of the next block, and the places of
// this one's outputs. Asked for among the products, which leave memory idle (one thread, 64
// channels, 56x56, batch 16: 8.4 -> 7.3 ms; 32 channels, 24x24, batch 100: 3.2 -> 2.5 ms).
void ask_ahead(const Plan& plan, int64_t first, int64_t tiles, int f) {
  for (int64_t t = tiles * f / kFrequencies; t < tiles * (f + 1) / kFrequencies; ++t) {
    if (first + tiles + t < plan.tiles) winograd_prefetch_patch(plan.conv, first + tiles + t);
    winograd_prefetch_output(plan.conv, first + t);
  }
}

void run_block(const Plan& plan, int64_t block, const float* u, float* v, float* m, float* slab) {
  const int64_t first = block * plan.block_tiles,
                tiles = std::min(plan.block_tiles, plan.tiles - first),
                out_channels = plan.conv.out_channels;
  for (int64_t t = 0; t < tiles; ++t) transform_tile(plan, first + t, v + t * plan.channels, slab);
  for (int f = 0; f < kFrequencies; ++f) {
    if (plan.asks_ahead) ask_ahead(plan, first, tiles, f);
    multiply(plan, tiles, u + f * plan.u_step, v + f * plan.v_step, m + f * plan.m_step);
  }
  for (int64_t t = 0; t < tiles; ++t)
    winograd_finish_tile(plan.conv, first + t, 0, out_channels, m + t * out_channels, plan.m_step);
}

void make_weights(const Plan& plan, float* u) {
  const int64_t chunks = divide_up(plan.channels, kPiece);
  parallel_for(plan.panels * chunks, grain_for(kPiece * plan.gemm.columns * 64),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   transform_weights(plan, i / chunks, i % chunks, u);
               });
}

void run_blocks(const Plan& plan, const float* u) {
  parallel_for(plan.blocks, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> v(kFrequencies * plan.v_step), m(kFrequencies * plan.m_step),
        slab(kFrequencies * plan.channels);
    for (int64_t block = begin; block < end; ++block)
      run_block(plan, block, u, v.data(), m.data(), slab.data());
  });
}

}  // namespace

int64_t winograd_weights_size(const WinogradConvolution& conv) {
  return kFrequencies * Plan(conv).u_step;
}

void winograd_make_weights(const WinogradConvolution& conv, float* u) {
  make_weights(Plan(conv), u);
}

void winograd_by_tiles(const WinogradConvolution& conv, const float* u) {
  const Plan plan(conv);
  if (u) return run_blocks(plan, u);
  const Scratch<float> own(kFrequencies * plan.u_step);
  make_weights(plan, own.data());
  run_blocks(plan, own.data());
}

}  // namespace neurona
