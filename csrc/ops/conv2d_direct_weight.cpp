// Backward-weight pass: dW[(r,s,c)][k] = sum over pixels of x[pixel shifted by (r,s)][c] *
// dy[pixel][k], as outer-product tiles.
//
// Both operands lie channels-last, so a tile reads m consecutive channels of x and n consecutive k
// of dy at each pixel: nothing is transposed. A block of pixels (rows of one image, or a few small
// images) is summed in registers, then added to an accumulator [r][s][c][k]; the accumulators end
// as dw (K, C/groups, R, S).
//
// With few channels both are read in place (x from a padded copy), and a tile row is one of the S *
// C consecutive (s,c). With many the block is first copied into panels [c / m][row][column][m] and
// [k / n][pixel][n], so that tiles stream through memory: pixels of 256 channels lie 1 KiB apart,
// and 128 of them would share four sets of L1.
//
// Threads: a small dW is computed in a fixed number of chunks of blocks, each with an accumulator
// of its own, added in order. A large one is cut by channels and filters: a part needs no second
// accumulator and copies its own channels of x and of dy only. Which of them, and so the bits,
// depends on the shape alone.
#include <algorithm>

#include "core/arena.h"
#include "core/divide.h"
#include "core/prefetch.h"
#include "core/thread_pool.h"
#include "ops/conv2d_variants.h"
#include "ops/conv2d_weight_block.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;
constexpr int64_t kChunks = 8;  // when threads share the pixels; up to as many threads have work

// One tile: `height` consecutive channels from x + first, against panel `panel` of k, for all
// pixels of the block.
void run_tile(const WeightPass& pass, const WeightBlock& view, int64_t first, int64_t height,
              int64_t panel, float* accumulator, bool accumulate) {
  const Conv2dShape& shape = pass.shape;
  const int64_t column = panel * pass.kernel.columns;
  const int width = static_cast<int>(std::min<int64_t>(pass.kernel.columns, pass.group_k - column));
  const int64_t b_step = pass.packed ? pass.panel_width(panel) : shape.k;
  const int64_t b_image = (pass.packed ? view.rows : shape.p) * shape.q * b_step;
  const float* dy = view.dy + (pass.packed ? column * pass.block_pixels() : column);
  TileRun runs[kMaxRuns];
  float* rows[kMaxRows];
  int64_t count = 0;
  for (int64_t n = 0; n < view.images; ++n)
    for (int64_t i = 0; i < view.rows; ++i)
      runs[count++] = {view.x + n * view.image + i * shape.stride[0] * view.line + first,
                       dy + n * b_image + i * shape.q * b_step, shape.q};
  for (int64_t i = 0; i < height; ++i) rows[i] = accumulator + i * pass.group_k + column;
  pass.kernel.tile_columns(static_cast<int>(height), width, runs, count,
                           shape.stride[1] * view.pixel, b_step, pass.packed,
                           {rows, nullptr, 1.0f, accumulate, TileActivation::kNone});
}

void prefetch_part(const float* data, int64_t size, int64_t part, int64_t parts) {
  const int64_t begin = size * part / parts;
  prefetch(data + begin, size * (part + 1) / parts - begin);
}

// One of `parts` parts of the pixels behind the block, which the next one reads in place: they come
// while the tiles of this one run (one thread, 1x1, 64 -> 256 channels, 56x56, batch 16: 12 -> 10
// ms; a stem of 7x7 taps: 10.8 -> 9.1 ms).
void ask_ahead(const WeightPass& pass, const WeightBlock& view, int64_t part, int64_t parts) {
  const Conv2dShape& shape = pass.shape;
  const int64_t dy_size = view.images * view.rows * shape.q * shape.k;
  prefetch_part(view.dy + dy_size, dy_size, part, parts);
  if (pass.use_slab) return;
  const int64_t x_size =
      view.images > 1 ? view.images * view.image : view.rows * shape.stride[0] * view.line;
  prefetch_part(view.x + x_size, x_size, part, parts);
}

// All tiles of one block. The taps of a channel come one after the other, since they read almost
// the same pixels of x (10 % with 5x5 taps).
void run_block(const WeightPass& pass, const WeightBlock& view, float* accumulators,
               bool accumulate) {
  const Conv2dShape& shape = pass.shape;
  const int64_t taps = pass.merged ? 1 : shape.s,
                channels = pass.merged ? shape.s * pass.group_c : pass.group_c;
  const int64_t step = pass.packed ? pass.x_width : pass.kernel.rows;
  const int64_t tiles = pass.k_panels * divide_up(channels, step) * shape.r * taps;
  int64_t tile = 0;
  for (int64_t panel = 0; panel < pass.k_panels; ++panel)
    for (int64_t c = 0; c < channels; c += step)
      for (int64_t r = 0; r < shape.r; ++r)
        for (int64_t s = 0; s < taps; ++s) {
          const int64_t first =
              r * shape.dilation[0] * view.line + s * shape.dilation[1] * view.pixel;
          if (pass.asks_ahead) ask_ahead(pass, view, tile++, tiles);
          run_tile(pass, view, first + (pass.packed ? c / step * view.x_panel : c),
                   std::min(step, channels - c), panel,
                   accumulators + ((r * shape.s + s) * pass.group_c + c) * pass.group_k,
                   accumulate);
        }
}

void run_tasks(const WeightPass& pass, int64_t first, int64_t last, WeightWorkspace& work,
               float* accumulators) {
  for (int64_t task = first; task < last; ++task)
    run_block(pass, view_block(pass, task, work), accumulators, task > first);
}

// Channels [first, last) of dw[k][c][r][s] = accumulators[r][s][c][k]; dw starts with the pass's
// first channel, of dw_channels.
void transpose_to(const WeightPass& pass, const float* accumulators, int64_t first, int64_t last,
                  float* dw, int64_t dw_channels) {
  const int64_t taps = pass.shape.r * pass.shape.s, k = pass.group_k, line = dw_channels * taps;
  if (taps == 1)
    return pass.kernel.transpose(accumulators + first * k, k, last - first, k, dw + first, line);
  for (int64_t c = first; c < last; ++c)
    pass.kernel.transpose(accumulators + c * k, pass.group_c * k, taps, k, dw + c * taps, line);
}

// The first accumulator becomes the sum of all.
void add_up(int64_t size, int64_t chunks, float* accumulators) {
  parallel_for(size, grain_for(4 * chunks), [&](int64_t begin, int64_t end) {
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      const float* other = accumulators + chunk * size;
      for (int64_t i = begin; i < end; ++i) accumulators[i] += other[i];
    }
  });
}

void run_chunks(const WeightPass& pass, float* dw) {
  const int64_t size = pass.accumulator_size(), tasks = pass.tasks(),
                chunks = std::min(kChunks, tasks);
  const Scratch<float> accumulators(chunks * size);
  const int64_t chunk_flops = 2 * size * pass.shape.n * pass.shape.p * pass.shape.q / chunks;
  parallel_for(chunks, grain_for(chunk_flops / 16), [&](int64_t begin, int64_t end) {
    WeightWorkspace work(pass);
    for (int64_t chunk = begin; chunk < end; ++chunk)
      run_tasks(pass, tasks * chunk / chunks, tasks * (chunk + 1) / chunks, work,
                accumulators.data() + chunk * size);
  });
  add_up(size, chunks, accumulators.data());
  parallel_for(pass.group_c, grain_for(8 * size / pass.group_c), [&](int64_t begin, int64_t end) {
    transpose_to(pass, accumulators.data(), begin, end, dw, pass.group_c);
  });
}

// How a large dW is cut.
struct Parts {
  int64_t channels, filters;
};

// The cut with the least work for the slowest thread. A multiply-add counts 1; a float of x or dy
// to be copied for each pixel counts about 10.
Parts choose_parts(const WeightPass& pass) {
  constexpr int64_t kCopy = 10;
  const Conv2dShape& shape = pass.shape;
  const int64_t threads = num_threads(), taps = shape.r * shape.s,
                sources = shape.stride[0] * shape.stride[1];
  Parts best{1, 1};
  int64_t least = INT64_MAX;
  for (int64_t c = 1; c <= std::min(threads, divide_up(pass.group_c, pass.kernel.rows)); ++c)
    for (int64_t k = 1; k <= std::min(divide_up(threads, c), pass.k_panels); ++k) {
      const int64_t channels = divide_up(pass.group_c, c),
                    filters = divide_up(pass.k_panels, k) * pass.kernel.columns;
      const int64_t work = divide_up(c * k, threads) *
                           (channels * filters * taps + kCopy * (channels * sources + filters));
      if (work < least) {
        least = work;
        best = {c, k};
      }
    }
  return best;
}

// Channels and filters [begin, end) of a large dW.
struct Range {
  int64_t begin, end;
};

void run_part(const WeightPass& whole, Range channels, Range filters, float* dw) {
  const WeightPass pass(whole.shape, whole.x + channels.begin, whole.dy + filters.begin,
                        channels.end - channels.begin, filters.end - filters.begin);
  const Scratch<float> accumulators(pass.accumulator_size());
  WeightWorkspace work(pass);
  run_tasks(pass, 0, pass.tasks(), work, accumulators.data());
  transpose_to(pass, accumulators.data(), 0, pass.group_c,
               dw + (filters.begin * whole.group_c + channels.begin) * pass.shape.r * pass.shape.s,
               whole.group_c);
}

void run_group(const WeightPass& pass, float* dw) {
  if (has_small_weight(pass.shape) || !pass.packed) return run_chunks(pass, dw);
  const Parts parts = choose_parts(pass);
  const auto filters_before = [&](int64_t k) {
    return std::min(pass.group_k, pass.k_panels * k / parts.filters * pass.kernel.columns);
  };
  parallel_for(parts.channels * parts.filters, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t c = part % parts.channels, k = part / parts.channels;
      run_part(pass, {pass.group_c * c / parts.channels, pass.group_c * (c + 1) / parts.channels},
               {filters_before(k), filters_before(k + 1)}, dw);
    }
  });
}

}  // namespace

void conv2d_direct_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw) {
  if (shape.n == 0) {
    std::fill_n(dw, shape.weight_size(), 0.0f);
    return;
  }
  const int64_t group_weights = shape.group_k() * shape.group_c() * shape.r * shape.s;
  for (int64_t g = 0; g < shape.groups; ++g)
    run_group(WeightPass(shape, x + g * shape.group_c(), dy + g * shape.group_k(), shape.group_c(),
                         shape.group_k()),
              dw + g * group_weights);
}

}  // namespace neurona
