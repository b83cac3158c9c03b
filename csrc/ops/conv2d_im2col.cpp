// Convolution through a matrix of patches: row (p, q) holds the R * S * C inputs of output pixel
// (p, q), so that a pass is one product per image. Costs R * S copies of the input; wins where the
// direct tiles would be narrow. groups == 1.
#include <algorithm>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "ops/conv2d_slab.h"
#include "ops/conv2d_variants.h"
#include "ops/gemm.h"

namespace neurona {
namespace {

constexpr int64_t kChunks = 8;  // of images, when weights' gradients are summed: fixed, so that
                                // bits do not depend on threads

// Sizes of the padded image and of the patch matrix.
struct Patches {
  const Conv2dShape& shape;
  int64_t rows, columns;  // of the padded image
  int64_t pixels, depth;  // of the patch matrix

  explicit Patches(const Conv2dShape& s)
      : shape(s),
        rows((s.p - 1) * s.stride[0] + (s.r - 1) * s.dilation[0] + 1),
        columns((s.q - 1) * s.stride[1] + (s.s - 1) * s.dilation[1] + 1),
        pixels(s.p * s.q),
        depth(s.r * s.s * s.c) {}

  int64_t padded_size() const { return rows * columns * shape.c; }

  // Calls body(offset in the padded image, offset in the patch matrix, floats) for every contiguous
  // stretch of a patch.
  template <typename Body>
  void for_each_stretch(const Body& body) const {
    const bool merged = shape.dilation[1] == 1;
    const int64_t length = merged ? shape.s * shape.c : shape.c, stretches = merged ? 1 : shape.s;
    for (int64_t p = 0; p < shape.p; ++p)
      for (int64_t q = 0; q < shape.q; ++q)
        for (int64_t r = 0; r < shape.r; ++r)
          for (int64_t s = 0; s < stretches; ++s)
            body(((p * shape.stride[0] + r * shape.dilation[0]) * columns + q * shape.stride[1] +
                  s * shape.dilation[1]) *
                     shape.c,
                 (p * shape.q + q) * depth + (r * shape.s + s) * shape.c, length);
  }

  void gather(const float* image, float* padded, float* patches) const {
    copy_slab({image, shape.h, shape.w, shape.c, shape.c}, -shape.padding[0], rows,
              -shape.padding[1], columns, padded);
    for_each_stretch([&](int64_t from, int64_t to, int64_t length) {
      std::copy_n(padded + from, length, patches + to);
    });
  }
};

// w (K, C, R, S) to (K, R, S, C), the order of a patch.
void reorder_weight(const Conv2dShape& shape, const float* weight, float* reordered) {
  const int64_t taps = shape.r * shape.s;
  for (int64_t k = 0; k < shape.k; ++k)
    for (int64_t c = 0; c < shape.c; ++c)
      for (int64_t tap = 0; tap < taps; ++tap)
        reordered[(k * taps + tap) * shape.c + c] = weight[(k * shape.c + c) * taps + tap];
}

}  // namespace

void conv2d_im2col_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y) {
  const Patches patches(shape);
  const Scratch<float> reordered(shape.weight_size());
  reorder_weight(shape, weight, reordered.data());
  parallel_for(
      shape.n, grain_for(patches.pixels * patches.depth * shape.k / 8),
      [&](int64_t begin, int64_t end) {
        const Scratch<float> padded(patches.padded_size()), matrix(patches.pixels * patches.depth);
        for (int64_t n = begin; n < end; ++n) {
          patches.gather(x + n * shape.h * shape.w * shape.c, padded.data(), matrix.data());
          gemm({patches.pixels, shape.k, patches.depth}, {matrix.data(), patches.depth, false},
               {reordered.data(), patches.depth, true}, y + n * patches.pixels * shape.k, shape.k,
               {1.0f, false, bias, activation});
        }
      });
}

void conv2d_im2col_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const float* bias, float* dx) {
  const Patches patches(shape);
  const Scratch<float> reordered(shape.weight_size());
  reorder_weight(shape, weight, reordered.data());
  parallel_for(shape.n, grain_for(patches.pixels * patches.depth * shape.k / 8),
               [&](int64_t begin, int64_t end) {
                 // The padded gradient covers at least the image: rows that no window reaches keep
                 // a zero gradient.
                 const int64_t rows = std::max(patches.rows, shape.padding[0] + shape.h),
                               columns = patches.columns;
                 const Scratch<float> padded(rows * columns * shape.c),
                     matrix(patches.pixels * patches.depth);
                 for (int64_t n = begin; n < end; ++n) {
                   gemm({patches.pixels, patches.depth, shape.k},
                        {dy + n * patches.pixels * shape.k, shape.k, false},
                        {reordered.data(), patches.depth, false}, matrix.data(), patches.depth, {});
                   std::fill_n(padded.data(), rows * columns * shape.c, 0.0f);
                   patches.for_each_stretch([&](int64_t to, int64_t from, int64_t length) {
                     float* target = padded.data() + to;
                     const float* source = matrix.data() + from;
                     for (int64_t i = 0; i < length; ++i) target[i] += source[i];
                   });
                   float* image = dx + n * shape.h * shape.w * shape.c;
                   for (int64_t h = 0; h < shape.h; ++h)
                     for (int64_t w = 0; w < shape.w; ++w, image += shape.c) {
                       const int64_t column = w + shape.padding[1];
                       const float* source =
                           column < columns
                               ? padded.data() +
                                     ((h + shape.padding[0]) * columns + column) * shape.c
                               : nullptr;
                       for (int64_t c = 0; c < shape.c; ++c)
                         image[c] = (source ? source[c] : 0.0f) + (bias ? bias[c] : 0.0f);
                     }
                 }
               });
}

void conv2d_im2col_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw) {
  const Patches patches(shape);
  const int64_t chunks = std::min(kChunks, shape.n), taps = shape.r * shape.s,
                size = shape.weight_size();
  std::fill_n(dw, size, 0.0f);
  const Scratch<float> sums(std::max<int64_t>(1, chunks * size));
  parallel_for(
      chunks, grain_for(shape.multiply_adds() / std::max<int64_t>(1, chunks) / 8),
      [&](int64_t begin, int64_t end) {
        const Scratch<float> padded(patches.padded_size()), matrix(patches.pixels * patches.depth);
        for (int64_t chunk = begin; chunk < end; ++chunk) {
          const int64_t first = shape.n * chunk / chunks, last = shape.n * (chunk + 1) / chunks;
          for (int64_t n = first; n < last; ++n) {
            patches.gather(x + n * shape.h * shape.w * shape.c, padded.data(), matrix.data());
            gemm({shape.k, patches.depth, patches.pixels},
                 {dy + n * patches.pixels * shape.k, shape.k, true},
                 {matrix.data(), patches.depth, false}, sums.data() + chunk * size, patches.depth,
                 {1.0f, n > first});
          }
        }
      });
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    for (int64_t k = 0; k < shape.k; ++k)
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t c = 0; c < shape.c; ++c)
          dw[(k * shape.c + c) * taps + tap] += sums[chunk * size + (k * taps + tap) * shape.c + c];
}

}  // namespace neurona
