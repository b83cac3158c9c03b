#include "kernels/depthwise.h"

#include "kernels/partial.inl"

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

// Taps whose sums stay in registers during a row.
constexpr int kTapsAtOnce = 4;

// `Taps` successive taps, the first of which reads input q * stride + shift, for n lanes.
template <int Taps>
NEURONA_INLINE void row_taps(const DepthwiseRow& row, int64_t shift, const float* x,
                             const float* dy, int n, float* sums) {
  Vec sum[Taps];
#pragma GCC unroll 4
  for (int t = 0; t < Taps; ++t) sum[t] = load_first(sums + t * row.channels, n);
  for (int64_t q = 0; q < row.outputs; ++q) {
    const Vec gradient = load_first(dy + q * row.channels, n);
    const int64_t first = q * row.stride + shift;
#pragma GCC unroll 4
    for (int t = 0; t < Taps; ++t) {
      const int64_t w = first + t * row.dilation;
      if (w >= 0 && w < row.inputs) sum[t] += load_first(x + w * row.channels, n) * gradient;
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < Taps; ++t) store_first(sums + t * row.channels, sum[t], n);
}

template <int Taps>
void some_row_taps(int taps, const DepthwiseRow& row, int64_t shift, const float* x,
                   const float* dy, int n, float* sums) {
  if constexpr (Taps > 1) {
    if (taps < Taps) return some_row_taps<Taps - 1>(taps, row, shift, x, dy, n, sums);
  }
  if (n == kLanes) {
    row_taps<Taps>(row, shift, x, dy, kLanes, sums);
  } else {
    row_taps<Taps>(row, shift, x, dy, n, sums);
  }
}

void row_gradient(const DepthwiseRow& row, const float* x, const float* dy, float* sums) {
  for (int64_t tap = 0; tap < row.taps; tap += kTapsAtOnce) {
    const int taps = static_cast<int>(row.taps - tap < kTapsAtOnce ? row.taps - tap : kTapsAtOnce);
    for (int64_t c = 0; c < row.channels; c += kLanes)
      some_row_taps<kTapsAtOnce>(
          taps, row, tap * row.dilation - row.padding, x + c, dy + c,
          static_cast<int>(row.channels - c < kLanes ? row.channels - c : kLanes),
          sums + tap * row.channels + c);
  }
}

}  // namespace

DepthwiseKernels depthwise_kernels() { return {pixel, row_gradient}; }

}  // namespace neurona::NEURONA_ISA
