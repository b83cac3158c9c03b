// The seven loops, with sums in double: the C++ truth beside the NumPy reference, and a lesson.
// Serial over channels, threads over images (forward, data) or filters (weights).
#include <vector>

#include "core/thread_pool.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

// Position in the input that output position `out` reads with kernel tap `tap`; may lie outside.
int64_t source(const Conv2dShape& shape, int axis, int64_t out, int64_t tap) {
  return out * shape.stride[axis] + tap * shape.dilation[axis] - shape.padding[axis];
}

float activate(float value, TileActivation activation) {
  if (activation == TileActivation::kRelu) return value < 0 ? 0 : value;
  if (activation == TileActivation::kLeakyRelu) return value < 0 ? 0.01f * value : value;
  return value;
}

// Calls body(x offset, y offset, weight offset) for every product of a range of images and filters.
template <typename Body>
void for_each_product(const Conv2dShape& shape, int64_t n_begin, int64_t n_end, int64_t k_begin,
                      int64_t k_end, const Body& body) {
  const int64_t group_c = shape.group_c(), group_k = shape.group_k();
  for (int64_t n = n_begin; n < n_end; ++n)
    for (int64_t k = k_begin; k < k_end; ++k)
      for (int64_t p = 0; p < shape.p; ++p)
        for (int64_t q = 0; q < shape.q; ++q)
          for (int64_t r = 0; r < shape.r; ++r)
            for (int64_t s = 0; s < shape.s; ++s) {
              const int64_t h = source(shape, 0, p, r), w = source(shape, 1, q, s);
              if (h < 0 || h >= shape.h || w < 0 || w >= shape.w) continue;
              for (int64_t c = 0; c < group_c; ++c)
                body(((n * shape.h + h) * shape.w + w) * shape.c + k / group_k * group_c + c,
                     ((n * shape.p + p) * shape.q + q) * shape.k + k,
                     ((k * group_c + c) * shape.r + r) * shape.s + s);
            }
}

}  // namespace

void conv2d_naive_forward(const Conv2dShape& shape, const float* x, const float* weight,
                          const float* bias, TileActivation activation, float* y) {
  const int64_t image = shape.p * shape.q * shape.k;
  parallel_for(shape.n, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sums(image);
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t i = 0; i < image; ++i) sums[i] = bias ? bias[i % shape.k] : 0.0;
      for_each_product(shape, n, n + 1, 0, shape.k, [&](int64_t xi, int64_t yi, int64_t wi) {
        sums[yi - n * image] += static_cast<double>(x[xi]) * weight[wi];
      });
      for (int64_t i = 0; i < image; ++i)
        y[n * image + i] = activate(static_cast<float>(sums[i]), activation);
    }
  });
}

void conv2d_naive_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                const float* bias, float* dx) {
  const int64_t image = shape.h * shape.w * shape.c;
  parallel_for(shape.n, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sums(image);
    for (int64_t n = begin; n < end; ++n) {
      for (int64_t i = 0; i < image; ++i) sums[i] = bias ? bias[i % shape.c] : 0.0;
      for_each_product(shape, n, n + 1, 0, shape.k, [&](int64_t xi, int64_t yi, int64_t wi) {
        sums[xi - n * image] += static_cast<double>(dy[yi]) * weight[wi];
      });
      for (int64_t i = 0; i < image; ++i) dx[n * image + i] = static_cast<float>(sums[i]);
    }
  });
}

void conv2d_naive_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                  float* dw) {
  const int64_t filter = shape.group_c() * shape.r * shape.s;
  parallel_for(shape.k, 1, [&](int64_t begin, int64_t end) {
    std::vector<double> sums(filter);
    for (int64_t k = begin; k < end; ++k) {
      sums.assign(filter, 0.0);
      for_each_product(shape, 0, shape.n, k, k + 1, [&](int64_t xi, int64_t yi, int64_t wi) {
        sums[wi - k * filter] += static_cast<double>(dy[yi]) * x[xi];
      });
      for (int64_t i = 0; i < filter; ++i) dw[k * filter + i] = static_cast<float>(sums[i]);
    }
  });
}

}  // namespace neurona
