// Backward data for few input channels: the gradient of each output pixel is spread over the input
// pixels that it read.
//
// The output pixels (p, q) that reach row y of dx by some kernel row r lie one below the other in
// column q. Together they add S * C consecutive floats to that row,
//
//   sum over r of dy[p(r), q] (K) * W_r (K, S * C),   p(r) * stride + r * dilation = y,
//
// one sum per tile row: a tile holds such columns of several images, and of one image columns so
// far apart that their floats do not overlap. The direct pass has only C columns per tile instead
// of S * C: with 6 channels, 5x5 kernels and 16 lanes it computes 2.7 times as many products.
// Adding each kernel row to dx by itself would make tiles of K steps instead of R * K (6 channels
// of 14x14 from 16 filters of 5x5, batch 64: 120 instead of 100 us; 20 from 40: 0.96 instead of
// 0.78 ms).
#include <algorithm>
#include <numeric>
#include <vector>

#include "core/arena.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;

// The output pixels that reach one row of dx: `count` of them in each column, at
// offsets[begin..begin + count) from the column's first one, by kernel rows that follow one another
// from `kernel_row` on in the packed weights.
struct Reach {
  int64_t begin, count, kernel_row;
};

struct Scatter {
  const Conv2dShape& shape;
  const GemmKernels& kernel;
  int64_t columns;     // S * C
  int64_t panels;      // of them
  int64_t row_pixels;  // of the padded dx: every position that a kernel can reach, and the image
  bool in_place;       // a row of dx itself serves as a padded one
  int64_t phases;      // columns of dy so far apart add to different floats
  int64_t group;       // images whose columns share tiles
  std::vector<int64_t> kernel_rows;   // in the order of the packed weights
  std::vector<int64_t> column_order;  // of dy, one phase after the other
  std::vector<Reach> reach;           // of each row of dx
  std::vector<int64_t> offsets;

  explicit Scatter(const Conv2dShape& s)
      : shape(s),
        kernel(kernels().gemm),
        columns(s.s * s.c),
        panels(divide_up(columns, kernel.columns)),
        row_pixels(s.w + 2 * s.padding[1]),
        in_place(s.padding[1] == 0),
        phases(divide_up(s.s, s.stride[1])),
        group(divide_up(kernel.pointer_rows, std::max<int64_t>(1, s.q / phases))),
        kernel_rows(order_of_rows(s)) {
    group = std::min(group, std::max<int64_t>(1, s.n));
    column_order.reserve(s.q);
    for (int64_t phase = 0; phase < phases; ++phase) append_columns(phase);
    reach.reserve(s.h);
    offsets.reserve(s.p * s.r);  // each pair reaches one row
    for (int64_t h = 0; h < s.h; ++h) append_reach(h + s.padding[0]);
  }

  int64_t columns_of(int64_t phase) const {
    return phase < shape.q ? divide_up(shape.q - phase, phases) : 0;
  }

  // Kernel rows that reach the same rows of dx lie side by side: those whose r * dilation leaves
  // the same remainder.
  static std::vector<int64_t> order_of_rows(const Conv2dShape& shape) {
    const auto remainder = [&](int64_t r) { return r * shape.dilation[0] % shape.stride[0]; };
    std::vector<int64_t> rows(shape.r);
    std::iota(rows.begin(), rows.end(), 0);
    std::stable_sort(rows.begin(), rows.end(),
                     [&](int64_t i, int64_t j) { return remainder(i) < remainder(j); });
    return rows;
  }

  // A column's floats begin where those of the one before it in its phase end, and a load waits for
  // a store that shares a vector with it: so a tile takes columns from as many parts of the row as
  // it has rows, and image by image (10 % of LeNet's second convolution and of a 7x7 stem).
  void append_columns(int64_t phase) {
    const int64_t count = columns_of(phase), part = divide_up(count, kernel.pointer_rows);
    for (int64_t i = 0; i < part; ++i)
      for (int64_t column = i; column < count; column += part)
        column_order.push_back(phase + column * phases);
  }

  void append_reach(int64_t y) {
    Reach found{static_cast<int64_t>(offsets.size()), 0, 0};
    for (int64_t i = 0; i < shape.r; ++i) {
      const int64_t above = y - kernel_rows[i] * shape.dilation[0], p = above / shape.stride[0];
      if (above < 0 || above % shape.stride[0] != 0 || p >= shape.p) continue;
      if (found.count++ == 0) found.kernel_row = i;
      offsets.push_back(p * shape.q * shape.k);
    }
    reach.push_back(found);
  }

  int64_t line() const { return row_pixels * shape.c; }
  int64_t panel_width(int64_t panel) const {
    return columns - panel * kernel.columns > kernel.lanes ? kernel.columns : kernel.lanes;
  }
  // Packed weights: [panel][kernel row][k][width].
  int64_t weights_size() const { return panels * kernel.columns * shape.r * shape.k; }
  int64_t weights_of(int64_t panel) const { return panel * kernel.columns * shape.r * shape.k; }
};

void pack_weights(const Scatter& scatter, const float* weight, float* packed) {
  const Conv2dShape& shape = scatter.shape;
  const int64_t filter = shape.c * shape.r * shape.s;
  std::vector<int64_t> taps;  // of the panel's columns, within a filter
  for (int64_t panel = 0; panel < scatter.panels; ++panel) {
    const int64_t width = scatter.panel_width(panel), first = panel * scatter.kernel.columns,
                  valid = std::min(width, scatter.columns - first);
    float* target = packed + scatter.weights_of(panel);
    for (int64_t r : scatter.kernel_rows) {
      taps.clear();
      for (int64_t i = first; i < first + valid; ++i)
        taps.push_back((i % shape.c * shape.r + r) * shape.s + i / shape.c);
      for (int64_t k = 0; k < shape.k; ++k, target += width) {
        for (int64_t i = 0; i < valid; ++i) target[i] = weight[k * filter + taps[i]];
        std::fill(target + valid, target + width, 0.0f);
      }
    }
  }
}

// Row h of dx of some images, from their first dy on: what is added to it, to rows of floats that
// lie `apart`.
void add_to_row(const Scatter& scatter, const float* dy, int64_t images, const Reach& reach,
                const float* packed, float* rows, int64_t apart) {
  const Conv2dShape& shape = scatter.shape;
  const GemmKernels& kernel = scatter.kernel;
  const float* a_rows[kMaxRows];
  float* starts[kMaxRows];
  float* c_rows[kMaxRows];
  const int64_t* column_of_phase = scatter.column_order.data();
  for (int64_t phase = 0; phase < scatter.phases; ++phase) {
    const int64_t per_image = scatter.columns_of(phase);
    int64_t image = 0;
    const int64_t* column_of_dy = column_of_phase;
    for (int64_t left = images * per_image; left > 0; left -= kernel.pointer_rows) {
      const int height = static_cast<int>(std::min<int64_t>(kernel.pointer_rows, left));
      for (int i = 0; i < height; ++i) {
        const int64_t q = *column_of_dy;
        a_rows[i] = dy + (image * shape.p * shape.q + q) * shape.k;
        starts[i] = rows + image * apart + q * shape.stride[1] * shape.c;
        if (++image == images) {
          image = 0;
          ++column_of_dy;
        }
      }
      for (int64_t panel = 0; panel < scatter.panels; ++panel) {
        const int64_t column = panel * kernel.columns, width = scatter.panel_width(panel);
        for (int i = 0; i < height; ++i) c_rows[i] = starts[i] + column;
        kernel.tile_rows(
            height, static_cast<int>(std::min<int64_t>(kernel.columns, scatter.columns - column)),
            a_rows, scatter.offsets.data() + reach.begin, reach.count, shape.k,
            packed + scatter.weights_of(panel) + reach.kernel_row * shape.k * width, width,
            {c_rows, nullptr, 1.0f, true, TileActivation::kNone});
      }
    }
    column_of_phase += per_image;
  }
}

// Row h of dx of the images [first, last). `workspace` holds a padded row of each.
void scatter_row(const Scatter& scatter, const float* dy, const float* packed, const float* bias,
                 int64_t first, int64_t last, int64_t h, float* workspace, float* dx) {
  const Conv2dShape& shape = scatter.shape;
  const int64_t floats = shape.w * shape.c, image_size = shape.h * floats;
  float* const target = dx + first * image_size + h * floats;
  float* const rows = scatter.in_place ? target : workspace;
  const int64_t apart = scatter.in_place ? image_size : scatter.line();
  for (int64_t i = 0; i < last - first; ++i) std::fill_n(rows + i * apart, scatter.line(), 0.0f);
  if (scatter.reach[h].count > 0)
    add_to_row(scatter, dy + first * shape.p * shape.q * shape.k, last - first, scatter.reach[h],
               packed, rows, apart);
  for (int64_t i = 0; i < last - first; ++i) {
    float* row = target + i * image_size;
    if (!scatter.in_place) std::copy_n(rows + i * apart + shape.padding[1] * shape.c, floats, row);
    if (bias)
      for (int64_t j = 0; j < floats; ++j) row[j] += bias[j % shape.c];
  }
}

}  // namespace

void conv2d_scatter_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const float* bias, float* dx) {
  const Scatter scatter(shape);
  const Scratch<float> packed(scatter.weights_size());
  pack_weights(scatter, weight, packed.data());
  const int64_t groups = divide_up(shape.n, scatter.group);
  const int64_t flops = scatter.group * shape.q * scatter.columns * shape.k * shape.r;
  parallel_for(groups * shape.h, grain_for(flops / 8), [&](int64_t begin, int64_t end) {
    const Scratch<float> workspace(scatter.in_place ? 1 : scatter.group * scatter.line());
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / shape.h * scatter.group,
                    last = std::min(first + scatter.group, shape.n);
      scatter_row(scatter, dy, packed.data(), bias, first, last, i % shape.h, workspace.data(), dx);
    }
  });
}

}  // namespace neurona
