// Resampling along one axis at a time, forward and backward; the formulas are in resample.h. All
// outputs are overwritten.
//
// Vectors run along the channels, and where there is one channel along the pixels, which are then
// gathered. Both round alike (compiled without contraction), so that the bits do not depend on the
// layout. A vector of fewer channels than lanes spills into the next pixels, which are written
// after it.
#include "kernels/resample.h"

#include "kernels/gather.inl"
#include "kernels/partial.inl"

namespace neurona::NEURONA_ISA {
namespace {

NEURONA_INLINE Vec mix(Vec below, Vec above, Vec part) {
  return below * (1.0f - part) + above * part;
}

void blend(const float* below, const float* above, float part, float* y, int64_t count) {
  const Vec share = broadcast(part);
  for (int64_t i = 0; i < count; i += kLanes) {
    const int n = count - i < kLanes ? static_cast<int>(count - i) : kLanes;
    store_first(y + i, mix(load_first(below + i, n), load_first(above + i, n), share), n);
  }
}

template <bool kLinear>
NEURONA_INLINE void read_pixels(const ResampleTaps& taps, const float* x, float* y) {
  for (int64_t q = 0; q < taps.count; q += kLanes) {
    const int n = taps.count - q < kLanes ? static_cast<int>(taps.count - q) : kLanes;
    Vec value = gather_first(x, taps.below + q, n);
    if constexpr (kLinear)
      value = mix(value, gather_first(x, taps.above + q, n), load_first(taps.part + q, n));
    store_first(y + q, value, n);
  }
}

template <bool kLinear>
NEURONA_INLINE void read_channels(const ResampleTaps& taps, int64_t channels, const float* x,
                                  const float* x_end, float* y, float* y_end) {
  for (int64_t q = 0; q < taps.count; ++q, y += channels) {
    const float* below = x + taps.below[q] * channels;
    const float* above = kLinear ? x + taps.above[q] * channels : below;
    const float* last = below > above ? below : above;
    const Vec part = broadcast(kLinear ? taps.part[q] : 0.0f);
    for (int64_t c = 0; c < channels; c += kLanes) {
      const bool whole = x_end - (last + c) >= kLanes && y_end - (y + c) >= kLanes;
      const int n =
          whole ? kLanes : static_cast<int>(channels - c < kLanes ? channels - c : kLanes);
      Vec value = load_first(below + c, n);
      if constexpr (kLinear) value = mix(value, load_first(above + c, n), part);
      store_first(y + c, value, n);
    }
  }
}

void read_row(const ResampleTaps& taps, int64_t channels, const float* x, const float* x_end,
              float* y, float* y_end) {
  if (channels == 1 && taps.above) return read_pixels<true>(taps, x, y);
  if (channels == 1) return read_pixels<false>(taps, x, y);
  if (taps.above) return read_channels<true>(taps, channels, x, x_end, y, y_end);
  read_channels<false>(taps, channels, x, x_end, y, y_end);
}

// Vectors that are summed together, so that a term's weight and place are looked up once for all.
constexpr int kBlock = 4;

// y[0..kBlock vectors) = sum over k of x[source[k] * stride ..] * weight[k].
NEURONA_INLINE void sum_block(const int32_t* source, const float* weight, int64_t terms,
                              const float* x, int64_t stride, float* y) {
  Vec sum[kBlock] = {};
  for (int64_t k = 0; k < terms; ++k) {
    const float* from = x + source[k] * stride;
    const Vec share = broadcast(weight[k]);
#pragma GCC unroll 4
    for (int v = 0; v < kBlock; ++v) sum[v] = sum[v] + load(from + v * kLanes) * share;
  }
#pragma GCC unroll 4
  for (int v = 0; v < kBlock; ++v) store(y + v * kLanes, sum[v]);
}

void sum_rows(const int32_t* source, const float* weight, int64_t terms, const float* x, float* y,
              int64_t count) {
  int64_t i = 0;
  for (; i + kBlock * kLanes <= count; i += kBlock * kLanes)
    sum_block(source, weight, terms, x + i, count, y + i);
  for (; i < count; i += kLanes) {
    const int n = count - i < kLanes ? static_cast<int>(count - i) : kLanes;
    Vec sum = {};
    for (int64_t k = 0; k < terms; ++k)
      sum = sum + load_first(x + source[k] * count + i, n) * broadcast(weight[k]);
    store_first(y + i, sum, n);
  }
}

void sum_row(const ResampleSums& sums, int64_t channels, const float* dy, const float* dy_end,
             float* dx, float* dx_end) {
  for (int64_t i = 0; i < sums.count; ++i, dx += channels) {
    const int64_t first = sums.start[i], end = sums.start[i + 1];
    if (channels == 1) {
      float sum = 0;
      for (int64_t k = first; k < end; ++k) sum = sum + dy[sums.source[k]] * sums.weight[k];
      *dx = sum;
      continue;
    }
    int64_t c = 0;
    for (; c + kBlock * kLanes <= channels; c += kBlock * kLanes)
      sum_block(sums.source + first, sums.weight + first, end - first, dy + c, channels, dx + c);
    for (; c < channels; c += kLanes) {
      const int part = static_cast<int>(channels - c < kLanes ? channels - c : kLanes);
      const int kept = dx_end - (dx + c) >= kLanes ? kLanes : part;
      Vec sum = {};
      for (int64_t k = first; k < end; ++k) {
        const float* pixel = dy + sums.source[k] * channels + c;
        sum = sum + load_first(pixel, dy_end - pixel >= kLanes ? kLanes : part) *
                        broadcast(sums.weight[k]);
      }
      store_first(dx + c, sum, kept);
    }
  }
}

}  // namespace

ResampleKernels resample_kernels() { return {blend, read_row, sum_rows, sum_row}; }

}  // namespace neurona::NEURONA_ISA
