// Backward-weight pass: dW[(r,s,c)][k] = sum over pixels of x[pixel shifted by (r,s)][c] *
// dy[pixel][k], as outer-product tiles.
//
// Both operands lie channels-last, so a tile reads m consecutive channels of x and n consecutive k
// of dy at each pixel: nothing is transposed. A block of pixels (rows of one image, or a few small
// images) is summed in registers, then added to an accumulator [r][s][c][k]; the accumulators end
// as dw (K, C/groups, R, S).
//
//   few channels    x and dy are read in place (x from a padded copy); a tile row is one of the S *
//   C consecutive (s,c) many channels   the block is first copied into panels [c /
//   m][row][column][m] and [k / n][pixel][n], so that tiles stream
//                   through memory: pixels of 256 channels lie 1 KiB apart, and 128 of them would
//                   share four sets of L1
//
// Threads: a small dW is computed in a fixed number of chunks of blocks, each with an accumulator
// of its own, added in order; a large one is cut by panels of k and rows r, which needs no second
// accumulator. Both choices, and so the bits, depend on the shape alone.
#include <algorithm>

#include "core/arena.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_slab.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;
// Pixels per block. Read in place, the channels of x and a panel of dy over the block take half of
// a 32 KiB L1; panels stream, and longer blocks pass less often over the accumulators.
constexpr int64_t kBlockFloats = 4096;
constexpr int64_t kPackedBlockPixels = 256;
constexpr int kMaxRuns = 256;
// From this many channels on a panel is filled well enough to be worth the copy.
constexpr int64_t kPackFromChannels = 16;
// Chunks when threads share the pixels; up to as many threads have work. Beyond this size of dW the
// private accumulators would not stay in L2, and there are enough panels to share instead.
constexpr int64_t kChunks = 8;
constexpr int64_t kLargestPrivate = 256 << 10;

// One group of the convolution.
struct Pass {
  const Conv2dShape& shape;
  const GemmKernels& kernel;
  const float* x;
  const float* dy;
  int64_t group_c, group_k;
  bool packed;
  int64_t x_width;  // channels of a panel of x: the tile's height, evened out over the panels
  int64_t x_panels, k_panels;
  int64_t block_rows, blocks;  // output rows per block, blocks per image
  int64_t block_images;   // images per block: more than one only where a block holds whole images
  bool use_slab, merged;  // merged: the taps of a kernel row are one stretch of S * C channels
  int64_t slab_columns;

  Pass(const Conv2dShape& s, const float* x_group, const float* dy_group)
      : shape(s),
        kernel(kernels().gemm),
        x(x_group),
        dy(dy_group),
        group_c(s.group_c()),
        group_k(s.group_k()) {
    packed = group_c >= kPackFromChannels;
    x_panels = divide_up(group_c, kernel.rows);
    x_width = divide_up(group_c, x_panels);
    k_panels = divide_up(group_k, kernel.columns);
    const int64_t pixels =
        packed ? kPackedBlockPixels
               : kBlockFloats / (group_c + std::min<int64_t>(group_k, kernel.columns));
    block_rows = std::clamp<int64_t>(pixels / s.q, 1, std::min<int64_t>(s.p, kMaxRuns));
    blocks = divide_up(s.p, block_rows);
    block_images = blocks > 1 ? 1
                              : std::clamp<int64_t>(std::min(pixels / s.q, int64_t{kMaxRuns}) / s.p,
                                                    1, std::max<int64_t>(1, s.n));
    use_slab = packed || s.padding[0] > 0 || s.padding[1] > 0 || (s.groups > 1 && s.s > 1);
    merged = !packed && s.dilation[1] == 1 && (use_slab || s.groups == 1);
    slab_columns = (s.q - 1) * s.stride[1] + (s.s - 1) * s.dilation[1] + 1;
  }

  int64_t slab_rows(int64_t rows) const {
    return (rows - 1) * shape.stride[0] + (shape.r - 1) * shape.dilation[0] + 1;
  }
  int64_t slab_size() const {
    return use_slab ? slab_rows(block_rows) * slab_columns * group_c : 0;
  }
  int64_t block_pixels() const { return block_images * block_rows * shape.q; }
  int64_t panel_width(int64_t panel) const {
    return group_k - panel * kernel.columns > kernel.lanes ? kernel.columns : kernel.lanes;
  }
  int64_t accumulator_size() const { return shape.r * shape.s * group_c * group_k; }
  int64_t tasks() const { return divide_up(shape.n, block_images) * blocks; }
  // Independent parts of the accumulator: (panel of k, kernel row).
  int64_t units() const { return k_panels * shape.r; }
};

// A thread's copies of a block.
struct Workspace {
  Scratch<float> slab, x_panels, dy_panels;
  explicit Workspace(const Pass& pass)
      : slab(std::max<int64_t>(
            1, pass.packed ? pass.slab_size() : pass.block_images * pass.slab_size())),
        x_panels(pass.packed ? pass.x_panels * pass.x_width * pass.block_images * pass.slab_size() /
                                   pass.group_c
                             : 1),
        dy_panels(pass.packed ? pass.k_panels * pass.kernel.columns * pass.block_pixels() : 1) {}
};

// The pixels of one block as the tiles see them.
struct BlockView {
  const float*
      x;  // source position of output pixel (first row, 0) of the first image under tap (0, 0)
  int64_t image, line, pixel;  // floats from one image, row, pixel of the source to the next
  int64_t x_panel;             // floats from one panel of x to the next (packed)
  const float* dy;
  int64_t images, rows;
};

// Copies the block into panels; of dy only the panels [first_panel, last_panel).
BlockView pack_block(const Pass& pass, const BlockView& in_place, int64_t source_row,
                     int64_t first_panel, int64_t last_panel, Workspace& work) {
  const Conv2dShape& shape = pass.shape;
  const int64_t slab_pixels = pass.slab_rows(in_place.rows) * pass.slab_columns,
                panel_size = in_place.images * slab_pixels * pass.x_width;
  for (int64_t n = 0; n < in_place.images; ++n) {
    copy_slab({in_place.x + n * in_place.image, shape.h, shape.w, shape.c, pass.group_c},
              source_row, pass.slab_rows(in_place.rows), -shape.padding[1], pass.slab_columns,
              work.slab.data());
    for (int64_t panel = 0; panel < pass.x_panels; ++panel)
      pass.kernel.pack_transposed(
          work.slab.data() + panel * pass.x_width, pass.group_c,
          std::min(pass.x_width, pass.group_c - panel * pass.x_width), slab_pixels, 0,
          work.x_panels.data() + panel * panel_size + n * slab_pixels * pass.x_width, pass.x_width);
  }
  const int64_t rows_of_pixels = in_place.rows * shape.q;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t column = panel * pass.kernel.columns,
                  width = std::min<int64_t>(pass.kernel.columns, pass.group_k - column);
    float* target = work.dy_panels.data() + panel * pass.kernel.columns * pass.block_pixels();
    for (int64_t n = 0; n < in_place.images; ++n)
      pass.kernel.pack_transposed(
          in_place.dy + n * shape.p * shape.q * shape.k + column, shape.k, width, rows_of_pixels, 0,
          target + n * rows_of_pixels * pass.panel_width(panel), pass.panel_width(panel));
  }
  return {work.x_panels.data(),
          slab_pixels * pass.x_width,
          pass.slab_columns * pass.x_width,
          pass.x_width,
          panel_size,
          work.dy_panels.data(),
          in_place.images,
          in_place.rows};
}

BlockView view_block(const Pass& pass, int64_t task, int64_t first_panel, int64_t last_panel,
                     Workspace& work) {
  const Conv2dShape& shape = pass.shape;
  const int64_t n = task / pass.blocks * pass.block_images,
                first_row = task % pass.blocks * pass.block_rows;
  const int64_t images = std::min(pass.block_images, shape.n - n),
                rows = std::min(pass.block_rows, shape.p - first_row);
  const int64_t image_size = shape.h * shape.w * shape.c,
                source_row = first_row * shape.stride[0] - shape.padding[0];
  const float* dy = pass.dy + (n * shape.p + first_row) * shape.q * shape.k;
  const BlockView in_place{
      pass.x + n * image_size, image_size, shape.w * shape.c, shape.c, 0, dy, images, rows};
  if (pass.packed) return pack_block(pass, in_place, source_row, first_panel, last_panel, work);
  BlockView view = in_place;
  if (!pass.use_slab) {
    view.x += source_row * view.line;
    return view;
  }
  for (int64_t i = 0; i < images; ++i)
    copy_slab({in_place.x + i * image_size, shape.h, shape.w, shape.c, pass.group_c}, source_row,
              pass.slab_rows(rows), -shape.padding[1], pass.slab_columns,
              work.slab.data() + i * pass.slab_size());
  return {work.slab.data(),
          pass.slab_size(),
          pass.slab_columns * pass.group_c,
          pass.group_c,
          0,
          dy,
          images,
          rows};
}

// One tile: `height` consecutive channels from x + first, against panel `panel` of k, for all
// pixels of the block.
void run_tile(const Pass& pass, const BlockView& view, int64_t first, int64_t height, int64_t panel,
              float* accumulator, bool accumulate) {
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

// All tiles of one (panel of k, kernel row) on one block.
void run_unit(const Pass& pass, const BlockView& view, int64_t unit, float* accumulators,
              bool accumulate) {
  const Conv2dShape& shape = pass.shape;
  const int64_t panel = unit / shape.r, r = unit % shape.r;
  const int64_t line = r * shape.dilation[0] * view.line;
  const int64_t taps = pass.merged ? 1 : shape.s,
                channels = pass.merged ? shape.s * pass.group_c : pass.group_c;
  const int64_t step = pass.packed ? pass.x_width : pass.kernel.rows;
  for (int64_t s = 0; s < taps; ++s) {
    const int64_t first = line + s * shape.dilation[1] * view.pixel;
    float* target = accumulators + (r * shape.s + s) * pass.group_c * pass.group_k;
    for (int64_t c = 0; c < channels; c += step)
      run_tile(pass, view, first + (pass.packed ? c / step * view.x_panel : c),
               std::min(step, channels - c), panel, target + c * pass.group_k, accumulate);
  }
}

// dw[k][c][r][s] = sum over chunks of accumulators[chunk][r][s][c][k], 16 filters at a time: a
// cache line of each tap.
void add_and_transpose(const Pass& pass, const float* accumulators, int64_t chunks, float* dw) {
  constexpr int64_t kFilters = 16;
  const int64_t taps = pass.shape.r * pass.shape.s, size = pass.accumulator_size();
  parallel_for(
      divide_up(pass.group_k, kFilters), grain_for(4 * kFilters * taps * pass.group_c * chunks),
      [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; ++block) {
          const int64_t first = block * kFilters, last = std::min(pass.group_k, first + kFilters);
          for (int64_t c = 0; c < pass.group_c; ++c)
            for (int64_t k = first; k < last; ++k) {
              const float* source = accumulators + c * pass.group_k + k;
              float* target = dw + (k * pass.group_c + c) * taps;
              for (int64_t tap = 0; tap < taps; ++tap, source += pass.group_c * pass.group_k) {
                float sum = *source;
                for (int64_t chunk = 1; chunk < chunks; ++chunk) sum += source[chunk * size];
                target[tap] = sum;
              }
            }
        }
      });
}

void run_group(const Pass& pass, float* dw) {
  const int64_t size = pass.accumulator_size(), tasks = pass.tasks();
  const bool share_pixels =
      size * static_cast<int64_t>(sizeof(float)) <= kLargestPrivate || pass.units() == 1;
  const int64_t chunks = share_pixels ? std::min(kChunks, tasks) : 1;
  const Scratch<float> accumulators(chunks * size);
  if (share_pixels) {
    const int64_t chunk_flops = 2 * size * pass.shape.n * pass.shape.p * pass.shape.q / chunks;
    parallel_for(chunks, grain_for(chunk_flops / 16), [&](int64_t begin, int64_t end) {
      Workspace work(pass);
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const int64_t first = tasks * chunk / chunks, last = tasks * (chunk + 1) / chunks;
        for (int64_t task = first; task < last; ++task) {
          const BlockView view = view_block(pass, task, 0, pass.k_panels, work);
          for (int64_t unit = 0; unit < pass.units(); ++unit)
            run_unit(pass, view, unit, accumulators.data() + chunk * size, task > first);
        }
      }
    });
  } else {
    parallel_for(pass.units(), 1, [&](int64_t begin, int64_t end) {
      Workspace work(pass);
      for (int64_t task = 0; task < tasks; ++task) {
        const BlockView view =
            view_block(pass, task, begin / pass.shape.r, (end - 1) / pass.shape.r + 1, work);
        for (int64_t unit = begin; unit < end; ++unit)
          run_unit(pass, view, unit, accumulators.data(), task > 0);
      }
    });
  }
  add_and_transpose(pass, accumulators.data(), chunks, dw);
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
    run_group(Pass(shape, x + g * shape.group_c(), dy + g * shape.group_k()),
              dw + g * group_weights);
}

}  // namespace neurona
