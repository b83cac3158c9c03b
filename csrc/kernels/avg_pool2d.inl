// Average pooling of channels-last rows, forward and backward; adaptive pooling uses the same, with
// other spans.
//
//   y[q, c] = sum over rows and begin[q] <= w < end[q] of x[row, w, c] / (divisor * scale[q])
//   dx[w, c] = sum over rows and begin[w] <= q < end[w] of
//              row_scale[row] * scale[q] * dy[row, q, c]
//
// Sums are taken row by row and then added up, which halves the exponent of the rounding error's
// growth.
#pragma once

#include "kernels/pool2d.h"
#include "kernels/pool2d_vectors.inl"
#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

template <int kVecs, bool kPartial>
NEURONA_INLINE void average_window(const float* x, int64_t columns, int64_t rows, int64_t channels,
                                   int64_t row_step, float divisor, float* y, int n) {
  Vec total[kVecs] = {};
  for (int64_t r = 0; r < rows; ++r, x += row_step) {
    Vec sum[kVecs] = {};
    const float* pixel = x;
    for (int64_t s = 0; s < columns; ++s, pixel += channels)
#pragma GCC unroll 4
      for (int i = 0; i < kVecs; ++i) sum[i] += load_lanes<kPartial>(pixel + i * kLanes, n);
#pragma GCC unroll 4
    for (int i = 0; i < kVecs; ++i) total[i] += sum[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < kVecs; ++i)
    store_lanes<kPartial>(y + i * kLanes, total[i] / broadcast(divisor), n);
}

void average_row(int64_t channels, const PoolSpans& spans, const float* x, const float* x_end,
                 int64_t rows, int64_t row_step, float divisor, float* y, float* y_end) {
  for (int64_t q = 0; q < spans.count; ++q) {
    const int64_t columns = spans.end[q] - spans.begin[q];
    const float* window = x + spans.begin[q] * channels;
    const float by = divisor * spans.scale[q];
    float* out = y + q * channels;
    if (channels < kLanes) {
      const float* last = window + (rows - 1) * row_step + (columns - 1) * channels;
      if (x_end - last >= kLanes && y_end - out >= kLanes)
        average_window<1, false>(window, columns, rows, channels, row_step, by, out, 0);
      else
        average_window<1, true>(window, columns, rows, channels, row_step, by, out,
                                static_cast<int>(channels));
      continue;
    }
    int64_t c = 0;
    for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
      average_window<4, false>(window + c, columns, rows, channels, row_step, by, out + c, 0);
    while (c < channels) {
      c = c + kLanes <= channels ? c : channels - kLanes;
      average_window<1, false>(window + c, columns, rows, channels, row_step, by, out + c, 0);
      c += kLanes;
    }
  }
}

template <int kVecs, bool kPartial>
NEURONA_INLINE void spread_pixel(const float* dy, const float* scale, int64_t windows, int64_t rows,
                                 int64_t channels, int64_t row_step, const float* row_scale,
                                 float* dx, int n) {
  Vec total[kVecs] = {};
  for (int64_t p = 0; p < rows; ++p, dy += row_step) {
    Vec sum[kVecs] = {};
    for (int64_t q = 0; q < windows; ++q)
#pragma GCC unroll 4
      for (int i = 0; i < kVecs; ++i)
        sum[i] += broadcast(scale[q]) * load_lanes<kPartial>(dy + q * channels + i * kLanes, n);
#pragma GCC unroll 4
    for (int i = 0; i < kVecs; ++i) total[i] += broadcast(row_scale[p]) * sum[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < kVecs; ++i) store_lanes<kPartial>(dx + i * kLanes, total[i], n);
}

void average_backward_row(int64_t channels, const PoolSpans& spans, const float* dy,
                          const float* dy_end, int64_t rows, int64_t row_step,
                          const float* row_scale, float* dx, float* dx_end) {
  for (int64_t w = 0; w < spans.count; ++w) {
    const int64_t begin = spans.begin[w], windows = spans.end[w] - begin;
    const float *first = dy + begin * channels, *scale = spans.scale + begin;
    float* out = dx + w * channels;
    if (channels < kLanes) {
      const float* last = first + (rows - 1) * row_step + (windows - 1) * channels;
      if ((rows == 0 || windows == 0 || dy_end - last >= kLanes) && dx_end - out >= kLanes)
        spread_pixel<1, false>(first, scale, windows, rows, channels, row_step, row_scale, out, 0);
      else
        spread_pixel<1, true>(first, scale, windows, rows, channels, row_step, row_scale, out,
                              static_cast<int>(channels));
      continue;
    }
    int64_t c = 0;
    for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
      spread_pixel<4, false>(first + c, scale, windows, rows, channels, row_step, row_scale,
                             out + c, 0);
    for (; c < channels; c += kLanes) {
      const int64_t from = c + kLanes <= channels ? c : channels - kLanes;
      spread_pixel<1, false>(first + from, scale, windows, rows, channels, row_step, row_scale,
                             out + from, 0);
    }
  }
}

}  // namespace
}  // namespace neurona::NEURONA_ISA
