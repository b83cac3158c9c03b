#include "kernels/depthwise.h"

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

void pixel(const float* const* sources, const float* const* weights, int64_t taps,
           const float* bias, int64_t channels, float* out) {
  int64_t c = 0;
  // Four vectors at a time: four independent chains cover the latency of the multiply-add.
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    Vec sum[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[v] = bias ? load(bias + c + v * kLanes) : Vec{};
    for (int64_t t = 0; t < taps; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
        sum[v] += load(sources[t] + c + v * kLanes) * load(weights[t] + c + v * kLanes);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store(out + c + v * kLanes, sum[v]);
  }
  for (; c < channels; c += kLanes) {
    const int n = static_cast<int>(channels - c < kLanes ? channels - c : kLanes);
    Vec sum = Vec{};
    if (n == kLanes) {
      if (bias) sum = load(bias + c);
      for (int64_t t = 0; t < taps; ++t) sum += load(sources[t] + c) * load(weights[t] + c);
      store(out + c, sum);
    } else {
      if (bias) sum = load_partial(bias + c, n);
      for (int64_t t = 0; t < taps; ++t)
        sum += load_partial(sources[t] + c, n) * load_partial(weights[t] + c, n);
      store_partial(out + c, sum, n);
    }
  }
}

void row_products(const float* x, int64_t x_step, const float* dy, int64_t dy_step, int64_t count,
                  int64_t channels, float* sums) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int n = static_cast<int>(channels - c < kLanes ? channels - c : kLanes);
    if (n == kLanes) {
      Vec even = Vec{}, odd = Vec{};
      int64_t i = 0;
      for (; i + 2 <= count; i += 2) {
        even += load(x + i * x_step + c) * load(dy + i * dy_step + c);
        odd += load(x + (i + 1) * x_step + c) * load(dy + (i + 1) * dy_step + c);
      }
      if (i < count) even += load(x + i * x_step + c) * load(dy + i * dy_step + c);
      store(sums + c, load(sums + c) + (even + odd));
    } else {
      Vec sum = Vec{};
      for (int64_t i = 0; i < count; ++i)
        sum += load_partial(x + i * x_step + c, n) * load_partial(dy + i * dy_step + c, n);
      store_partial(sums + c, load_partial(sums + c, n) + sum, n);
    }
  }
}

}  // namespace

DepthwiseKernels depthwise_kernels() { return {pixel, row_products}; }

}  // namespace neurona::NEURONA_ISA
