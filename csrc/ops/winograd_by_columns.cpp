// Winograd for many channels and few tiles: V is made first, by all threads, and then each thread
// takes a few columns of the output through the other steps. U is made a part at a time, where it
// is used, and stays in L2: the whole of it is four times the weights (512 x 512 channels: 37 MiB)
// and would be written to memory and read again.
#include <algorithm>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "ops/winograd_convolution.h"

namespace neurona {
namespace {

constexpr int64_t kChunk = kWinogradChunk;
// V of a block of tiles, which passes through L3 once per column group.
constexpr int64_t kBlockBytes = 8 << 20;

struct Plan {
  const WinogradConvolution& conv;
  int64_t channels, chunks, columns, groups;
  int64_t block_tiles, slices, slice_tiles;
  int64_t u_step, v_step, m_step;  // floats from one frequency to the next

  explicit Plan(const WinogradConvolution& c)
      : conv(c), channels(c.source.channels), columns(kernels().gemm.columns) {
    const int64_t tiles = c.grid().tiles(), rows = kernels().gemm.pointer_rows;
    chunks = divide_up(channels, kChunk);
    groups = divide_up(c.out_channels, columns);
    const int64_t tile_bytes = kFrequencies * static_cast<int64_t>(sizeof(float)) * chunks * kChunk;
    block_tiles = std::min(tiles, std::max(rows, kBlockBytes / tile_bytes));
    // Two pieces of work per thread, as long as there are tiles.
    slices = std::max(divide_up(block_tiles, std::max(rows, tiles_in_l2())),
                      std::min(divide_up(2 * num_threads(), groups), block_tiles / rows));
    slice_tiles = divide_up(divide_up(block_tiles, std::max<int64_t>(1, slices)), rows) * rows;
    slices = divide_up(block_tiles, slice_tiles);
    u_step = spread(kChunk * columns);
    v_step = spread(block_tiles * kChunk);
    m_step = spread(slice_tiles * columns);
  }

  // Tiles whose M fits in L2 beside a thread's part of U: 7/8 of it, since V only passes by. With
  // fewer tiles that part of U would be made more often.
  int64_t tiles_in_l2() const {
    const int64_t column_bytes = kFrequencies * static_cast<int64_t>(sizeof(float)) * columns;
    return cache_sizes().l2 * 7 / 8 / column_bytes - kChunk;
  }
  int64_t length(int64_t chunk) const { return std::min(kChunk, channels - chunk * kChunk); }
};

// V lies as v[chunk][frequency][tile][channel of the chunk].
void transform_tile(const Plan& plan, int64_t tile, float* v, float* slab) {
  winograd_patch(plan.conv, tile, slab, [&](const float* x, int64_t line, int64_t pixel) {
    for (int64_t chunk = 0; chunk < plan.chunks; ++chunk)
      plan.conv.transforms().transform_input(x + chunk * kChunk, line, pixel, plan.length(chunk),
                                             v + chunk * kFrequencies * plan.v_step, plan.v_step);
  });
}

struct Buffers {
  float *u, *m;
};

// Columns [first, last) of the `tiles` tiles from `tile` on, whose V starts with v.
void run_columns(const Plan& plan, int64_t first, int64_t tile, int64_t tiles, const float* v,
                 const Buffers& own) {
  const int64_t last = std::min(first + plan.columns, plan.conv.out_channels);
  const int64_t lanes = kernels().gemm.lanes, step = last - first > lanes ? plan.columns : lanes;
  for (int64_t chunk = 0; chunk < plan.chunks; ++chunk, v += kFrequencies * plan.v_step) {
    const int64_t begin = chunk * kChunk;
    winograd_transform_weights(plan.conv, {begin, begin + plan.length(chunk), first, last, step},
                               own.u, plan.u_step);
    const WinogradProduct product{.tiles = tiles,
                                  .length = plan.length(chunk),
                                  .width = last - first,
                                  .v_row = kChunk,
                                  .step = step,
                                  .m_row = plan.columns,
                                  .accumulate = chunk > 0};
    for (int f = 0; f < kFrequencies; ++f)
      winograd_multiply(product, v + f * plan.v_step, own.u + f * plan.u_step,
                        own.m + f * plan.m_step);
  }
  for (int64_t t = 0; t < tiles; ++t)
    winograd_finish_tile(plan.conv, tile + t, first, last - first, own.m + t * plan.columns,
                         plan.m_step);
}

// All columns of the `tiles` tiles from `first` on.
void run_block(const Plan& plan, int64_t first, int64_t tiles, float* v) {
  parallel_for(tiles, grain_for(kFrequencies * 16 * plan.channels),
               [&](int64_t begin, int64_t end) {
                 const Scratch<float> slab(kFrequencies * plan.channels);
                 for (int64_t t = begin; t < end; ++t)
                   transform_tile(plan, first + t, v + t * kChunk, slab.data());
               });
  parallel_for(plan.groups * plan.slices, 1, [&](int64_t begin, int64_t end) {
    const Scratch<float> u(kFrequencies * plan.u_step), m(kFrequencies * plan.m_step);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t slice = i % plan.slices * plan.slice_tiles;
      if (slice < tiles)
        run_columns(plan, i / plan.slices * plan.columns, first + slice,
                    std::min(plan.slice_tiles, tiles - slice), v + slice * kChunk,
                    {u.data(), m.data()});
    }
  });
}

}  // namespace

void winograd_by_columns(const WinogradConvolution& conv) {
  const Plan plan(conv);
  const int64_t tiles = conv.grid().tiles();
  const Scratch<float> v(plan.chunks * kFrequencies * plan.v_step);
  for (int64_t first = 0; first < tiles; first += plan.block_tiles)
    run_block(plan, first, std::min(plan.block_tiles, tiles - first), v.data());
}

}  // namespace neurona
