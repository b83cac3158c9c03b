// Depthwise convolution, groups == C == K: no channel is mixed with another, so there is no product
// to tile. Each output pixel sums the taps that lie inside the image, with vectors along the
// channels; weights are reordered to (R, S, C) first.
#include <algorithm>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

constexpr int64_t kChunks = 8;  // of output rows, when weights' gradients are summed: fixed, so
                                // that bits do not depend on threads

// w (C, 1, R, S) to (R, S, C).
void reorder_weight(const Conv2dShape& shape, const float* weight, float* reordered) {
  const int64_t taps = shape.r * shape.s;
  for (int64_t c = 0; c < shape.c; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) reordered[tap * shape.c + c] = weight[c * taps + tap];
}

// The taps of one pixel: where they read and with which weights.
struct PixelTaps {
  std::vector<const float*> sources, weights;
  int64_t count = 0;

  explicit PixelTaps(const Conv2dShape& shape)
      : sources(shape.r * shape.s), weights(shape.r * shape.s) {}
  void add(const float* source, const float* weight) {
    sources[count] = source;
    weights[count++] = weight;
  }
};

}  // namespace

void conv2d_depthwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y) {
  const Scratch<float> reordered(shape.weight_size());
  reorder_weight(shape, weight, reordered.data());
  const auto pixel = kernels().depthwise.pixel;
  parallel_for(
      shape.n * shape.p, grain_for(shape.q * shape.c * shape.r * shape.s),
      [&](int64_t begin, int64_t end) {
        PixelTaps taps(shape);
        for (int64_t row = begin; row < end; ++row) {
          const float* image = x + row / shape.p * shape.h * shape.w * shape.c;
          for (int64_t q = 0; q < shape.q; ++q) {
            taps.count = 0;
            for (int64_t r = 0; r < shape.r; ++r) {
              const int64_t h =
                  row % shape.p * shape.stride[0] + r * shape.dilation[0] - shape.padding[0];
              if (h < 0 || h >= shape.h) continue;
              for (int64_t s = 0; s < shape.s; ++s) {
                const int64_t w = q * shape.stride[1] + s * shape.dilation[1] - shape.padding[1];
                if (w >= 0 && w < shape.w)
                  taps.add(image + (h * shape.w + w) * shape.c,
                           reordered.data() + (r * shape.s + s) * shape.c);
              }
            }
            float* out = y + (row * shape.q + q) * shape.c;
            pixel(taps.sources.data(), taps.weights.data(), taps.count, bias, shape.c, out);
            if (activation == TileActivation::kRelu) {
              for (int64_t c = 0; c < shape.c; ++c) out[c] = out[c] < 0 ? 0 : out[c];
            } else if (activation == TileActivation::kLeakyRelu) {
              for (int64_t c = 0; c < shape.c; ++c) out[c] = out[c] < 0 ? 0.01f * out[c] : out[c];
            }
          }
        }
      });
}

void conv2d_depthwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx) {
  const Scratch<float> reordered(shape.weight_size());
  reorder_weight(shape, weight, reordered.data());
  const auto pixel = kernels().depthwise.pixel;
  // Gathered: each input pixel collects the outputs that read it, p = (h + padding - r * dilation)
  // / stride where that is whole.
  parallel_for(
      shape.n * shape.h, grain_for(shape.w * shape.c * shape.r * shape.s),
      [&](int64_t begin, int64_t end) {
        PixelTaps taps(shape);
        for (int64_t row = begin; row < end; ++row) {
          const float* image = dy + row / shape.h * shape.p * shape.q * shape.c;
          for (int64_t w = 0; w < shape.w; ++w) {
            taps.count = 0;
            for (int64_t r = 0; r < shape.r; ++r) {
              const int64_t h = row % shape.h + shape.padding[0] - r * shape.dilation[0];
              if (h < 0 || h % shape.stride[0] != 0 || h / shape.stride[0] >= shape.p) continue;
              for (int64_t s = 0; s < shape.s; ++s) {
                const int64_t column = w + shape.padding[1] - s * shape.dilation[1];
                if (column < 0 || column % shape.stride[1] != 0 ||
                    column / shape.stride[1] >= shape.q)
                  continue;
                taps.add(
                    image + (h / shape.stride[0] * shape.q + column / shape.stride[1]) * shape.c,
                    reordered.data() + (r * shape.s + s) * shape.c);
              }
            }
            pixel(taps.sources.data(), taps.weights.data(), taps.count, bias, shape.c,
                  dx + (row * shape.w + w) * shape.c);
          }
        }
      });
}

void conv2d_depthwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw) {
  const int64_t taps = shape.r * shape.s, rows = shape.n * shape.p,
                chunks = std::max<int64_t>(1, std::min(kChunks, rows));
  const Scratch<float> sums(chunks * taps * shape.c);
  const auto row_products = kernels().depthwise.row_products;
  std::fill_n(sums.data(), chunks * taps * shape.c, 0.0f);
  parallel_for(chunks, grain_for(shape.multiply_adds() / chunks), [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      for (int64_t row = rows * chunk / chunks; row < rows * (chunk + 1) / chunks; ++row)
        for (int64_t r = 0; r < shape.r; ++r) {
          const int64_t h =
              row % shape.p * shape.stride[0] + r * shape.dilation[0] - shape.padding[0];
          if (h < 0 || h >= shape.h) continue;
          for (int64_t s = 0; s < shape.s; ++s) {
            // Output columns [first, last) read inside the image with this tap.
            const int64_t shift = s * shape.dilation[1] - shape.padding[1],
                          stride = shape.stride[1];
            const int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
            const int64_t last =
                shape.w - shift <= 0 ? 0 : std::min(shape.q, (shape.w - shift - 1) / stride + 1);
            if (first >= last) continue;
            row_products(
                x + ((row / shape.p * shape.h + h) * shape.w + first * stride + shift) * shape.c,
                stride * shape.c, dy + (row * shape.q + first) * shape.c, shape.c, last - first,
                shape.c, sums.data() + (chunk * taps + r * shape.s + s) * shape.c);
          }
        }
  });
  for (int64_t c = 0; c < shape.c; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) {
      float sum = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += sums[(chunk * taps + tap) * shape.c + c];
      dw[c * taps + tap] = sum;
    }
}

}  // namespace neurona
