// Backward data for few input channels: the gradient of each output pixel is spread over the input
// pixels that it read.
//
// For kernel row r, output pixel (p, q) adds the S * C consecutive floats dy[p, q] (K) * W_r (K, S
// C) to row p * stride + r of dx. A tile takes pixels below each other: their targets lie in
// different rows of dx and never overlap. The direct pass has only C columns per tile instead of S
// * C: with 6 channels, 5x5 kernels and 16 lanes it computes 2.7 times as many products.
#include <algorithm>
#include <vector>

#include "core/arena.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

constexpr int kMaxRows = 16;

struct Scatter {
  const Conv2dShape& shape;
  const GemmKernels& kernel;
  int64_t columns;  // S * C
  int64_t panels;
  int64_t rows,
      row_pixels;  // of the padded gradient: every position that a kernel can reach, and the image
  bool in_place;   // dx itself serves as the padded gradient

  explicit Scatter(const Conv2dShape& s)
      : shape(s),
        kernel(kernels().gemm),
        columns(s.s * s.c),
        panels(divide_up(columns, kernel.columns)),
        rows(s.h + 2 * s.padding[0]),
        row_pixels(s.w + 2 * s.padding[1]),
        in_place(s.padding == Pair{0, 0}) {}

  int64_t line() const { return row_pixels * shape.c; }
  int64_t panel_width(int64_t panel) const {
    return columns - panel * kernel.columns > kernel.lanes ? kernel.columns : kernel.lanes;
  }
  // Packed weights: [r][panel][k][width].
  int64_t weights_of_row() const { return panels * kernel.columns * shape.k; }
};

void pack_weights(const Scatter& scatter, const float* weight, float* packed) {
  const Conv2dShape& shape = scatter.shape;
  for (int64_t r = 0; r < shape.r; ++r)
    for (int64_t panel = 0; panel < scatter.panels; ++panel) {
      const int64_t width = scatter.panel_width(panel), first = panel * scatter.kernel.columns;
      float* target = packed + r * scatter.weights_of_row() + first * shape.k;
      const int64_t filter = shape.c * shape.r * shape.s;
      for (int64_t i = 0; i < width; ++i, ++target) {
        const int64_t s = (first + i) / shape.c, c = (first + i) % shape.c;
        const float* column = weight + (c * shape.r + r) * shape.s + s;
        const bool inside = first + i < scatter.columns;
        for (int64_t k = 0; k < shape.k; ++k)
          target[k * width] = inside ? column[k * filter] : 0.0f;
      }
    }
}

// Adds the gradients of all output pixels of one image to `padded`.
void scatter_image(const Scatter& scatter, const float* dy, const float* packed, float* padded) {
  const Conv2dShape& shape = scatter.shape;
  const GemmKernels& kernel = scatter.kernel;
  const int64_t no_offset = 0;
  const float* a_rows[kMaxRows];
  float* c_rows[kMaxRows];
  for (int64_t p = 0; p < shape.p; p += kernel.pointer_rows) {
    const int height = static_cast<int>(std::min<int64_t>(kernel.pointer_rows, shape.p - p));
    for (int64_t q = 0; q < shape.q; ++q) {
      for (int i = 0; i < height; ++i) a_rows[i] = dy + ((p + i) * shape.q + q) * shape.k;
      for (int64_t r = 0; r < shape.r; ++r)
        for (int64_t panel = 0; panel < scatter.panels; ++panel) {
          const int64_t first = panel * kernel.columns;
          for (int i = 0; i < height; ++i)
            c_rows[i] = padded +
                        ((p + i) * shape.stride[0] + r * shape.dilation[0]) * scatter.line() +
                        q * shape.stride[1] * shape.c + first;
          kernel.tile_rows(
              height, static_cast<int>(std::min<int64_t>(kernel.columns, scatter.columns - first)),
              a_rows, &no_offset, 1, shape.k,
              packed + r * scatter.weights_of_row() + first * shape.k, scatter.panel_width(panel),
              {c_rows, nullptr, 1.0f, true, TileActivation::kNone});
        }
    }
  }
}

}  // namespace

void conv2d_scatter_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const float* bias, float* dx) {
  const Scatter scatter(shape);
  const Scratch<float> packed(shape.r * scatter.weights_of_row());
  pack_weights(scatter, weight, packed.data());
  parallel_for(
      shape.n, grain_for(shape.p * shape.q * scatter.columns * shape.k * shape.r / 8),
      [&](int64_t begin, int64_t end) {
        const int64_t padded_size = scatter.rows * scatter.line();
        const Scratch<float> workspace(scatter.in_place ? 1 : padded_size);
        for (int64_t n = begin; n < end; ++n) {
          float* image = dx + n * shape.h * shape.w * shape.c;
          float* padded = scatter.in_place ? image : workspace.data();
          std::fill_n(padded, padded_size, 0.0f);
          scatter_image(scatter, dy + n * shape.p * shape.q * shape.k, packed.data(), padded);
          if (!scatter.in_place)
            for (int64_t h = 0; h < shape.h; ++h)
              std::copy_n(
                  padded + (h + shape.padding[0]) * scatter.line() + shape.padding[1] * shape.c,
                  shape.w * shape.c, image + h * shape.w * shape.c);
          if (bias)
            for (int64_t i = 0; i < shape.h * shape.w; ++i)
              for (int64_t c = 0; c < shape.c; ++c) image[i * shape.c + c] += bias[c];
        }
      });
}

}  // namespace neurona
