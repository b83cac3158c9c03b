// The weights' gradient by Winograd for many channels and few tiles: V and D of all tiles are made
// first, by all threads, and then each thread makes a part of U, some channels by some columns
// (output channels), and transforms it back while it is in L2. The whole of U is four times the
// weights (512 x 512 channels: 37 MiB) and would pass through memory twice per block of tiles. See
// conv2d_winograd_weight.cpp for the formula and for many tiles.
#include <algorithm>

#include "core/arena.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"
#include "ops/winograd_tiles.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;
// Channels and columns of a part of U, about: whole tiles of the product. 36 x 64 x 64 floats are
// 576 KiB.
constexpr int64_t kPart = 64;

struct Plan {
  const Conv2dShape& shape;
  const GemmKernels& gemm;
  const WinogradTransforms& winograd;
  TileGrid grid;
  int64_t filter;  // taps of a channel pair
  int64_t tiles, rows, columns, row_parts, column_parts;
  int64_t u_step, v_step, d_step;  // floats from one frequency to the next

  explicit Plan(const Conv2dShape& s)
      : shape(s),
        gemm(kernels().gemm),
        winograd(kernels().winograd.of(s.r)),
        grid{s.n, s.p, s.q, winograd_tile(s.r)},
        filter(s.r * s.r),
        tiles(grid.tiles()) {
    rows = kPart / gemm.rows * gemm.rows;
    columns = std::max<int64_t>(kPart, gemm.columns);
    row_parts = divide_up(s.c, rows);
    column_parts = divide_up(s.k, columns);
    u_step = spread(rows * columns);
    v_step = spread(tiles * rows);
    d_step = spread(tiles * columns);
  }
};

// V lies as v[row part][frequency][tile][channel], D as d[column part][frequency][tile][column].
void transform_tile(const Plan& plan, const float* dy, const float* x, int64_t tile, float* v,
                    float* d, float* slab) {
  const Conv2dShape& shape = plan.shape;
  const WinogradTransforms& winograd = plan.winograd;
  const TilePlace place = plan.grid.place(tile);
  with_patch(image_of_batch({x, shape.h, shape.w, shape.c, shape.c}, place.image),
             place.row - shape.padding[0], place.column - shape.padding[1], kWinogradInput, slab,
             [&](const float* patch, int64_t line, int64_t pixel) {
               for (int64_t c = 0; c < shape.c; c += plan.rows, v += kFrequencies * plan.v_step)
                 winograd.transform_input(patch + c, line, pixel, std::min(plan.rows, shape.c - c),
                                          v + tile * plan.rows, plan.v_step);
             });
  with_patch(
      image_of_batch({dy, shape.p, shape.q, shape.k, shape.k}, place.image), place.row,
      place.column, plan.grid.tile, slab, [&](const float* patch, int64_t line, int64_t pixel) {
        for (int64_t k = 0; k < shape.k; k += plan.columns, d += kFrequencies * plan.d_step)
          winograd.transform_gradient(patch + k, line, pixel, std::min(plan.columns, shape.k - k),
                                      d + tile * plan.columns, plan.d_step);
      });
}

// U = V^T D of one frequency, `height` channels by `width` columns.
void multiply(const Plan& plan, int64_t height, int64_t width, const float* v, const float* d,
              float* u) {
  const GemmKernels& gemm = plan.gemm;
  float* c_rows[kMaxRows];
  for (int64_t column = 0; column < width; column += gemm.columns) {
    const int n = static_cast<int>(std::min<int64_t>(gemm.columns, width - column));
    for (int64_t row = 0; row < height; row += gemm.rows) {
      const int m = static_cast<int>(std::min<int64_t>(gemm.rows, height - row));
      for (int i = 0; i < m; ++i) c_rows[i] = u + (row + i) * plan.columns + column;
      const TileRun run{v + row, d + column, plan.tiles};
      // D's rows are `columns` wide, so whole vectors of them can be read.
      gemm.tile_columns(m, n, &run, 1, plan.rows, plan.columns, true,
                        {c_rows, nullptr, 1.0f, false, TileActivation::kNone});
    }
  }
}

// A part of U, and of dw in its own layout.
void run_part(const Plan& plan, int64_t row_part, int64_t column_part, const float* v,
              const float* d, float* u, float* taps, float* dw) {
  const int64_t channel = row_part * plan.rows, column = column_part * plan.columns;
  const int64_t height = std::min(plan.rows, plan.shape.c - channel),
                width = std::min(plan.columns, plan.shape.k - column);
  v += row_part * kFrequencies * plan.v_step;
  d += column_part * kFrequencies * plan.d_step;
  for (int f = 0; f < kFrequencies; ++f)
    multiply(plan, height, width, v + f * plan.v_step, d + f * plan.d_step, u + f * plan.u_step);
  for (int64_t i = 0; i < height; ++i)
    plan.winograd.transform_weight_gradient(u + i * plan.columns, plan.u_step, plan.columns,
                                            taps + i * plan.filter * plan.columns);
  const int64_t line = plan.shape.c * plan.filter;
  plan.gemm.transpose(taps, plan.columns, height * plan.filter, width,
                      dw + column * line + channel * plan.filter, line);
}

}  // namespace

void conv2d_winograd_columns_backward_weight(const Conv2dShape& shape, const float* dy,
                                             const float* x, float* dw) {
  if (shape.n == 0) {
    std::fill_n(dw, shape.weight_size(), 0.0f);
    return;
  }
  const Plan plan(shape);
  const Scratch<float> v(plan.row_parts * kFrequencies * plan.v_step),
      d(plan.column_parts * kFrequencies * plan.d_step);
  parallel_for(plan.tiles, grain_for(kFrequencies * 16 * (shape.c + shape.k)),
               [&](int64_t begin, int64_t end) {
                 const Scratch<float> slab(kFrequencies * std::max(shape.c, shape.k));
                 for (int64_t t = begin; t < end; ++t)
                   transform_tile(plan, dy, x, t, v.data(), d.data(), slab.data());
               });
  parallel_for(plan.row_parts * plan.column_parts, 1, [&](int64_t begin, int64_t end) {
    // The columns behind out_channels may hold anything but what traps.
    const Scratch<float> u(kFrequencies * plan.u_step),
        taps(plan.rows * plan.filter * plan.columns);
    for (int64_t i = begin; i < end; ++i)
      run_part(plan, i / plan.column_parts, i % plan.column_parts, v.data(), d.data(), u.data(),
               taps.data(), dw);
  });
}

}  // namespace neurona
