// One input channel, few output channels (the first layer of a LeNet: 1 -> 6): tiles on rows of
// pixels would leave most lanes of a vector empty, so here a vector holds several pixels; see
// kernels/narrow.h. The image is expanded once, R * S multiply-adds use each vector of it.
#include <algorithm>

#include "core/arena.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_slab.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

// Largest expanded image, a vector per pixel: beyond an L2 it would stream from memory, and an
// image of 4096 x 4096 would take a GiB per thread.
constexpr int64_t kLargestExpanded = (1 << 20) / static_cast<int64_t>(sizeof(float));
// Chunks of images, each with sums of its own when the weights' gradients are added: fixed, so that
// bits do not depend on threads.
constexpr int64_t kChunks = 16;

// The padded and expanded lines of one image at a time.
class ExpandedImage {
 public:
  explicit ExpandedImage(const Conv2dShape& shape)
      : shape_(shape),
        kernel_(kernels().narrow),
        vectors_(shape.q + shape.s - 1),
        columns_(vectors_ + kernel_.lanes / shape.k - 1),
        rows_(shape.p + shape.r - 1),
        slab_(rows_ * columns_),
        lines_(rows_ * vectors_ * kernel_.lanes) {}

  NarrowImage expand(const float* image) const {
    copy_slab({image, shape_.h, shape_.w, 1, 1}, -shape_.padding[0], rows_, -shape_.padding[1],
              columns_, slab_.data());
    kernel_.expand(slab_.data(), rows_, columns_, shape_.k, lines_.data());
    return {lines_.data(), vectors_ * kernel_.lanes, shape_.r, shape_.s, shape_.p, shape_.q,
            shape_.k};
  }

 private:
  const Conv2dShape& shape_;
  const NarrowKernels& kernel_;
  int64_t vectors_, columns_, rows_;
  Scratch<float> slab_, lines_;
};

// `values[k * stride]` for every pixel of a vector.
void repeat(const NarrowKernels& kernel, const float* values, int64_t stride, int64_t channels,
            float* vector) {
  std::fill_n(vector, kernel.lanes, 0.0f);
  const int64_t used = kernel.lanes / channels * channels;
  if (values)
    for (int64_t lane = 0; lane < used; ++lane) vector[lane] = values[lane % channels * stride];
}

}  // namespace

const char* conv2d_narrow_objection(const Conv2dShape& shape) {
  if (shape.groups != 1 || shape.c != 1) return "it needs one input channel";
  if (2 * shape.k > kernels().narrow.lanes)
    return "it needs output channels of which two pixels fit a vector";
  if (shape.stride != Pair{1, 1} || shape.dilation != Pair{1, 1})
    return "it needs stride 1 and dilation 1";
  if (shape.s != 3 && shape.s != 5) return "it needs a kernel 3 or 5 wide";
  const int64_t rows = shape.p + shape.r - 1, vectors = shape.q + shape.s - 1;
  return rows <= kLargestExpanded / kernels().narrow.lanes / vectors
             ? nullptr
             : "it needs an image of at most 1 MiB with a vector per pixel";
}

void conv2d_narrow_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y) {
  const NarrowKernels& kernel = kernels().narrow;
  const int64_t taps = shape.r * shape.s, image_size = shape.p * shape.q * shape.k;
  const Scratch<float> vectors((taps + 1) * kernel.lanes);
  for (int64_t tap = 0; tap < taps; ++tap)
    repeat(kernel, weight + tap, taps, shape.k, vectors.data() + tap * kernel.lanes);
  float* bias_vector = vectors.data() + taps * kernel.lanes;
  repeat(kernel, bias, 1, shape.k, bias_vector);
  parallel_for(shape.n, grain_for(image_size * taps / 8), [&](int64_t begin, int64_t end) {
    const ExpandedImage expanded(shape);
    for (int64_t n = begin; n < end; ++n)
      kernel.forward(expanded.expand(x + n * shape.h * shape.w), vectors.data(), bias_vector,
                     activation, y + n * image_size);
  });
}

void conv2d_narrow_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw) {
  const NarrowKernels& kernel = kernels().narrow;
  const int64_t taps = shape.r * shape.s, image_size = shape.p * shape.q * shape.k;
  const int64_t chunk = std::max<int64_t>(1, divide_up(shape.n, kChunks)),
                chunks = divide_up(shape.n, chunk), sums_size = taps * kernel.lanes;
  const Scratch<float> sums(chunks * sums_size);
  parallel_for(chunks, grain_for(chunk * image_size * taps / 8), [&](int64_t begin, int64_t end) {
    const ExpandedImage expanded(shape);
    for (int64_t i = begin; i < end; ++i) {
      float* own = sums.data() + i * sums_size;
      std::fill_n(own, sums_size, 0.0f);
      for (int64_t n = i * chunk; n < std::min((i + 1) * chunk, shape.n); ++n)
        kernel.weight(expanded.expand(x + n * shape.h * shape.w), dy + n * image_size, own);
    }
  });
  std::fill_n(dw, shape.weight_size(), 0.0f);
  for (int64_t i = 0; i < chunks; ++i)
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float* lane = sums.data() + i * sums_size + tap * kernel.lanes;
      for (int64_t pixel = 0; pixel < kernel.lanes / shape.k; ++pixel)
        for (int64_t k = 0; k < shape.k; ++k) dw[k * taps + tap] += *lane++;
    }
}

}  // namespace neurona
