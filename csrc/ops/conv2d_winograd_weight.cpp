// The weights' gradient of 3x3 and 5x5 convolutions of stride 1 by Winograd's algorithm, whose own
// gradient it is: dg = G^T [sum over tiles of (B^T d B) . (A dy A^T)] G.
//
// A block of tiles at a time: its pixels are transformed to V[frequency][tile][channel] and its dy
// to D[frequency][tile][out channel], and each frequency adds the product V^T D to
// U[frequency][channel][out channel]. A small U stays in L2 with a block's V and D: then the tiles
// are cut into parts with a U each, which threads take. A large one is added to by all threads,
// which share tiles in the first step and frequencies in the second. The number of parts depends on
// the shape alone, and with it the order of all sums.
#include <algorithm>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"
#include "ops/winograd_tiles.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;
constexpr int64_t kTilesAhead = 8;  // 4 to 16 are as good, 32 are not
// Of a large U: V and D of a block pass through L3, 4 MiB of it. At least a tile's height of the
// product's depth should be worth the addition to U, whatever the channels are.
constexpr int64_t kSharedBytes = 4 << 20, kLeastTiles = 64;
// Of a small one, 32 x 48 channels: with V and D of a block it takes three quarters of 1 MiB of L2.
constexpr int64_t kSmallBytes = 256 << 10, kPrivateBytes = 512 << 10, kParts = 16;

struct Plan {
  const Conv2dShape& shape;
  const GemmKernels& gemm;
  const WinogradTransforms& winograd;
  TileGrid grid;
  int64_t filter;  // taps of a channel pair
  int64_t parts, part_tiles, block_tiles, u_width;
  int64_t u_step, v_step, d_step;  // floats from one frequency to the next
  bool asks_ahead;

  explicit Plan(const Conv2dShape& s)
      : shape(s),
        gemm(kernels().gemm),
        winograd(kernels().winograd.of(s.r)),
        grid{s.n, s.p, s.q, winograd_tile(s.r)},
        filter(s.r * s.r) {
    u_width = divide_up(shape.k, gemm.lanes) * gemm.lanes;
    u_step = spread(shape.c * u_width);
    const int64_t frequencies_bytes = kFrequencies * static_cast<int64_t>(sizeof(float));
    const bool small = frequencies_bytes * shape.c * shape.k <= kSmallBytes;
    parts = small ? std::clamp<int64_t>(grid.tiles() / kLeastTiles, 1, kParts) : 1;
    part_tiles = divide_up(grid.tiles(), parts);
    parts = divide_up(grid.tiles(), part_tiles);
    const int64_t fitting =
        (small ? kPrivateBytes : kSharedBytes) / (frequencies_bytes * (shape.c + shape.k));
    block_tiles = std::min(part_tiles, std::max(kLeastTiles, fitting));
    v_step = spread(block_tiles * shape.c);
    d_step = spread(block_tiles * shape.k);
    asks_ahead = comes_from_memory(shape.images_bytes());
  }

  int64_t u_size() const { return kFrequencies * u_step; }  // of a part
};

// The images that a tile of the grid lies in.
ImageView image_of(const Plan& plan, const float* x, const TilePlace& place) {
  const Conv2dShape& shape = plan.shape;
  return image_of_batch({x, shape.h, shape.w, shape.c, shape.c}, place.image);
}
ImageView gradient_of(const Plan& plan, const float* dy, const TilePlace& place) {
  const Conv2dShape& shape = plan.shape;
  return image_of_batch({dy, shape.p, shape.q, shape.k, shape.k}, place.image);
}

// One thread, 64 channels, 56x56, batch 16: 9.1 -> 7.3 ms.
void ask_ahead(const Plan& plan, const float* dy, const float* x, int64_t tile) {
  const TilePlace place = plan.grid.place(tile);
  prefetch_patch(image_of(plan, x, place), place.row - plan.shape.padding[0],
                 place.column - plan.shape.padding[1], kWinogradInput, plan.grid.tile);
  prefetch_patch(gradient_of(plan, dy, place), place.row, place.column, plan.grid.tile,
                 plan.grid.tile);
}

// V and D of tile `first + t` of the images.
void transform_tile(const Plan& plan, const float* dy, const float* x, int64_t first, int64_t t,
                    float* v, float* d, float* slab) {
  const Conv2dShape& shape = plan.shape;
  const TilePlace place = plan.grid.place(first + t);
  with_patch(
      image_of(plan, x, place), place.row - shape.padding[0], place.column - shape.padding[1],
      kWinogradInput, slab, [&](const float* patch, int64_t line, int64_t pixel) {
        plan.winograd.transform_input(patch, line, pixel, shape.c, v + t * shape.c, plan.v_step);
      });
  with_patch(gradient_of(plan, dy, place), place.row, place.column, plan.grid.tile, slab,
             [&](const float* patch, int64_t line, int64_t pixel) {
               plan.winograd.transform_gradient(patch, line, pixel, shape.k, d + t * shape.k,
                                                plan.d_step);
             });
}

// U += V^T D of one frequency; U is overwritten by the first block.
void add_product(const Plan& plan, int64_t tiles, bool first_block, const float* v, const float* d,
                 float* u) {
  const GemmKernels& gemm = plan.gemm;
  const int64_t channels = plan.shape.c, out_channels = plan.shape.k;
  float* rows[kMaxRows];
  for (int64_t column = 0; column < out_channels; column += gemm.columns) {
    const int width = static_cast<int>(std::min<int64_t>(gemm.columns, out_channels - column));
    for (int64_t row = 0; row < channels; row += gemm.rows) {
      const int height = static_cast<int>(std::min<int64_t>(gemm.rows, channels - row));
      for (int i = 0; i < height; ++i) rows[i] = u + (row + i) * plan.u_width + column;
      const TileRun run{v + row, d + column, tiles};
      gemm.tile_columns(height, width, &run, 1, channels, out_channels, false,
                        {rows, nullptr, 1.0f, !first_block, TileActivation::kNone});
    }
  }
}

// U of the tiles of one part. Within a part of several, its loops run on the thread that has it.
void run_part(const Plan& plan, const float* dy, const float* x, int64_t part, float* u) {
  const Conv2dShape& shape = plan.shape;
  const Scratch<float> v(kFrequencies * plan.v_step), d(kFrequencies * plan.d_step);
  const int64_t begin = part * plan.part_tiles,
                end = std::min(begin + plan.part_tiles, plan.grid.tiles());
  for (int64_t first = begin; first < end; first += plan.block_tiles) {
    const int64_t count = std::min(plan.block_tiles, end - first);
    parallel_for(count, grain_for(kFrequencies * 16 * (shape.c + shape.k)),
                 [&](int64_t from, int64_t to) {
                   const Scratch<float> slab(kFrequencies * std::max(shape.c, shape.k));
                   for (int64_t t = from; t < to; ++t) {
                     if (plan.asks_ahead && t + kTilesAhead < to)
                       ask_ahead(plan, dy, x, first + t + kTilesAhead);
                     transform_tile(plan, dy, x, first, t, v.data(), d.data(), slab.data());
                   }
                 });
    parallel_for(kFrequencies, grain_for(count * shape.c * shape.k / 16),
                 [&](int64_t from, int64_t to) {
                   for (int64_t f = from; f < to; ++f)
                     add_product(plan, count, first == begin, v.data() + f * plan.v_step,
                                 d.data() + f * plan.d_step, u + f * plan.u_step);
                 });
  }
}

// G^T U G of the channels [begin, end), with U the sum of the parts', to dw in its own layout.
void finish(const Plan& plan, int64_t begin, int64_t end, float* u, float* dw) {
  const int64_t channels = plan.shape.c, out_channels = plan.shape.k;
  const Scratch<float> taps(plan.filter * plan.u_width);
  for (int64_t channel = begin; channel < end; ++channel) {
    float* sum = u + channel * plan.u_width;
    for (int64_t part = 1; part < plan.parts; ++part)
      for (int64_t f = 0; f < kFrequencies; ++f) {
        float* row = sum + f * plan.u_step;
        const float* other = row + part * plan.u_size();
        for (int64_t k = 0; k < out_channels; ++k) row[k] += other[k];
      }
    plan.winograd.transform_weight_gradient(sum, plan.u_step, plan.u_width, taps.data());
    plan.gemm.transpose(taps.data(), plan.u_width, plan.filter, out_channels,
                        dw + channel * plan.filter, channels * plan.filter);
  }
}

}  // namespace

void conv2d_winograd_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                     float* dw) {
  if (shape.n == 0) {
    std::fill_n(dw, shape.weight_size(), 0.0f);
    return;
  }
  const Plan plan(shape);
  // The columns behind out_channels are never written and may hold anything but what traps.
  const Scratch<float> u(plan.parts * plan.u_size());
  if (plan.parts == 1) {
    run_part(plan, dy, x, 0, u.data());
  } else {
    parallel_for(plan.parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part)
        run_part(plan, dy, x, part, u.data() + part * plan.u_size());
    });
  }
  parallel_for(shape.c, grain_for(kFrequencies * 8 * plan.u_width),
               [&](int64_t begin, int64_t end) { finish(plan, begin, end, u.data(), dw); });
}

}  // namespace neurona
