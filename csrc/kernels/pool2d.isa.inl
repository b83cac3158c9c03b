// Max and min pooling of channels-last rows, forward and backward; averages are in avg_pool2d.inl.
//
//   y[q, c] = best over r, s of x[h + r dilation, w + s dilation, c]
//   offsets[q, c] = r S + s of the first winner
//   dx[h, w, c] = sum of dy[p, q, c] over the windows whose offset names (h, w); written once
//
// Vectors run along the channels. With fewer channels than lanes, a vector takes the next pixels
// along: its surplus lanes are overwritten by those pixels, in ascending order, and only the last
// vectors of an array are cut short.
#include "kernels/pool2d.h"

#include "kernels/avg_pool2d.inl"
#include "kernels/pool2d_vectors.inl"
#include "kernels/simd.inl"
#include "kernels/stream.inl"

namespace neurona::NEURONA_ISA {
namespace {

// Strictly better, or the first NaN.
template <bool kMin>
NEURONA_INLINE IntVec replaces(Vec value, Vec best) {
  const IntVec no_better = kMin ? value >= best : value <= best;
  return ~no_better & (best == best);
}

struct Window {
  const float* x;  // the first tap inside the image
  int64_t row_step, column_step;
  int64_t rows, columns;        // taps inside the image
  int32_t first_tap, tap_step;  // r * S + s of the first tap; S

  int64_t last() const { return (rows - 1) * row_step + (columns - 1) * column_step; }
};

template <bool kMin, int kOffsets, int kVecs, bool kPartial>
NEURONA_INLINE void select_tap(const float* pixel, int32_t tap, int n, Vec* best, IntVec* winner) {
#pragma GCC unroll 4
  for (int i = 0; i < kVecs; ++i) {
    const Vec value = load_lanes<kPartial>(pixel + i * kLanes, n);
    const IntVec better = replaces<kMin>(value, best[i]);
    best[i] = select(better, value, best[i]);
    if constexpr (kOffsets != kNoOffsets) winner[i] = better ? broadcast_int(tap) : winner[i];
  }
}

// The best of one window for kVecs vectors of channels, or for the first n lanes of one vector.
// kSquare is 2 for a whole window of 2 x 2, else 0: with few channels the loops would cost more
// than the work in them.
template <bool kMin, int kOffsets, int kSquare, int kVecs, bool kPartial>
NEURONA_INLINE void select_window(const Window& window, int64_t channel, float* y, void* offsets,
                                  int64_t at, int n) {
  Vec best[kVecs];
  IntVec winner[kVecs];
  const float* row = window.x + channel;
#pragma GCC unroll 4
  for (int i = 0; i < kVecs; ++i) {
    best[i] = load_lanes<kPartial>(row + i * kLanes, n);
    winner[i] = broadcast_int(window.first_tap);
  }
  if constexpr (kSquare != 0) {
#pragma GCC unroll 4
    for (int tap = 1; tap < kSquare * kSquare; ++tap)
      select_tap<kMin, kOffsets, kVecs, kPartial>(
          row + tap / kSquare * window.row_step + tap % kSquare * window.column_step, tap, n, best,
          winner);
  } else {
    int64_t column = 1;
    for (int64_t r = 0; r < window.rows; ++r, column = 0, row += window.row_step) {
      const float* pixel = row + column * window.column_step;
      int32_t tap = window.first_tap + static_cast<int32_t>(r) * window.tap_step +
                    static_cast<int32_t>(column);
      for (; column < window.columns; ++column, ++tap, pixel += window.column_step)
        select_tap<kMin, kOffsets, kVecs, kPartial>(pixel, tap, n, best, winner);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kVecs; ++i) {
    store_lanes<kPartial>(y + at + i * kLanes, best[i], n);
    store_offsets<kOffsets, kPartial>(offsets, at + i * kLanes, winner[i], n);
  }
}

// All channels of `count` windows of the same taps, `step` apart.
template <bool kMin, int kOffsets, int kSquare>
NEURONA_INLINE void select_run(Window window, int64_t count, int64_t step, int64_t channels,
                               const float* x_end, float* y, const float* y_end, void* offsets,
                               int64_t at) {
  if (channels < kLanes) {
    // Full vectors as long as they end inside both arrays.
    const int64_t last = window.last();
    for (; count > 0 && x_end - window.x >= last + kLanes && y_end - y >= at + kLanes;
         --count, window.x += step, at += channels)
      select_window<kMin, kOffsets, kSquare, 1, false>(window, 0, y, offsets, at, 0);
    for (; count > 0; --count, window.x += step, at += channels)
      select_window<kMin, kOffsets, 0, 1, true>(window, 0, y, offsets, at,
                                                static_cast<int>(channels));
    return;
  }
  for (; count > 0; --count, window.x += step, at += channels) {
    int64_t c = 0;
    for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
      select_window<kMin, kOffsets, kSquare, 4, false>(window, c, y, offsets, at + c, 0);
    for (; c < channels; c += kLanes) {
      const int64_t from = c + kLanes <= channels ? c : channels - kLanes;
      select_window<kMin, kOffsets, kSquare, 1, false>(window, from, y, offsets, at + from, 0);
    }
  }
}

template <bool kMin, int kOffsets>
void select_row(const PoolGeometry& geometry, int64_t p, const float* x, const float* x_end,
                float* y, const float* y_end, void* offsets) {
  const PoolAxis &height = geometry.height, &width = geometry.width;
  const int64_t channels = geometry.channels, step = width.stride * channels;
  const TapRange rows = taps_inside(height, p);
  Window window;
  window.row_step = height.dilation * width.size * channels;
  window.column_step = width.dilation * channels;
  window.rows = rows.end - rows.begin;
  window.tap_step = static_cast<int32_t>(width.taps);
  const float* image_row = x + (p * height.stride - height.padding + rows.begin * height.dilation) *
                                   width.size * channels;
  const auto run = [&](int64_t q, int64_t count, TapRange columns) {
    window.x =
        image_row + (q * width.stride - width.padding + columns.begin * width.dilation) * channels;
    window.columns = columns.end - columns.begin;
    window.first_tap = static_cast<int32_t>(rows.begin * width.taps + columns.begin);
    if (window.rows == 2 && window.columns == 2 && height.taps == 2 && width.taps == 2)
      select_run<kMin, kOffsets, 2>(window, count, step, channels, x_end, y, y_end, offsets,
                                    q * channels);
    else
      select_run<kMin, kOffsets, 0>(window, count, step, channels, x_end, y, y_end, offsets,
                                    q * channels);
  };
  for (int64_t q = 0; q < width.first_whole; ++q) run(q, 1, taps_inside(width, q));
  run(width.first_whole, width.end_whole - width.first_whole, {0, width.taps});
  for (int64_t q = width.end_whole; q < width.windows; ++q) run(q, 1, taps_inside(width, q));
}

void fill_zero(float* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, Vec{});
  store_partial(y + i, Vec{}, static_cast<int>(count - i));
}

// Calls body<vectors>(c, n) for the channels of one pixel: four vectors, one vector (the last one
// moved back so that it is whole), or the first n lanes of one when there are few channels. `whole`
// says that a full vector may be used for those all the same.
template <typename Body>
NEURONA_INLINE void for_each_block(int64_t channels, bool whole, const Body& body) {
  if (channels < kLanes) {
    if (whole) return body.template operator()<1>(0, kLanes);
    return body.template operator()<1>(0, static_cast<int>(channels));
  }
  int64_t c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) body.template operator()<4>(c, kLanes);
  for (; c < channels; c += kLanes)
    body.template operator()<1>(c + kLanes <= channels ? c : channels - kLanes, kLanes);
}

// A vector of dx: whole ones may go past the caches.
template <bool kPastCaches>
NEURONA_INLINE void store_gradient(float* p, Vec v, int n) {
  if constexpr (kPastCaches) return store_or_stream<true>(p, v);
  store_first(p, v, n);
}

// One dy of kVecs vectors goes to one of the pixels s = begin .. end - 1 of its window, `tap` being
// the number of s = 0.
template <int kOffsets, int kVecs, bool kPastCaches>
NEURONA_INLINE void scatter_pixel(const float* dy, const void* offsets, int64_t at, int64_t begin,
                                  int64_t end, int32_t tap, int64_t channels, float* pixel, int n) {
  Vec gradient[kVecs];
  IntVec winner[kVecs];
#pragma GCC unroll 4
  for (int v = 0; v < kVecs; ++v) {
    gradient[v] = load_first(dy + at + v * kLanes, n);
    winner[v] = load_offsets<kOffsets>(offsets, at + v * kLanes, n);
  }
#pragma GCC unroll 2
  for (int64_t s = begin; s < end; ++s, pixel += channels) {
    const IntVec mine = broadcast_int(tap + static_cast<int32_t>(s));
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v)
      store_gradient<kPastCaches>(pixel + v * kLanes, select(winner[v] == mine, gradient[v], Vec{}),
                                  n);
  }
}

// `count` windows of two pixels side by side, with fewer channels than lanes: the windows' dx
// follow one another. Stores stop at the last channel where that is free; a full one would cross a
// cache line nearly every time.
template <int kOffsets>
NEURONA_INLINE void scatter_pairs(const float* dy, const void* offsets, int64_t at, int64_t count,
                                  int32_t tap, int64_t channels, float* pixel) {
  const IntVec first = broadcast_int(tap), second = broadcast_int(tap + 1);
  for (int64_t q = 0; q < count; ++q, at += channels, pixel += 2 * channels) {
    const Vec gradient = load(dy + at);
    const IntVec winner = load_offsets<kOffsets>(offsets, at, kLanes);
    const Vec left = select(winner == first, gradient, Vec{}),
              right = select(winner == second, gradient, Vec{});
#if defined(NEURONA_ISA_avx512)
    store_partial(pixel, left, static_cast<int>(channels));
    store_partial(pixel + channels, right, static_cast<int>(channels));
#else
    store(pixel, left);
    store(pixel + channels, right);
#endif
  }
}

// Windows that do not overlap: each dy goes to one pixel of the row, or to none when its winner is
// in another row.
template <int kOffsets, bool kPastCaches>
void disjoint_backward_row(const PoolGeometry& geometry, int64_t h, const float* dy,
                           const void* offsets, const float* dy_end, float* dx, float* dx_end) {
  const PoolAxis &height = geometry.height, &width = geometry.width;
  const int64_t channels = geometry.channels, row_length = width.size * channels;
  const int64_t p = (h + height.padding) / height.stride,
                r = h + height.padding - p * height.stride;
  // Zeros where no window is; they are laid before anything else because windows leave gaps when
  // stride > S.
  if (p >= height.windows || r >= height.taps) return fill_zero(dx, row_length);
  if (width.taps < width.stride) fill_zero(dx, row_length);
  const int64_t covered = width.windows * width.stride - width.padding;
  const auto tap = static_cast<int32_t>(r * width.taps);
  int64_t at = p * width.windows * channels, q = 0;
  if (channels < kLanes && width.taps == 2 && width.stride == 2 && width.padding == 0) {
    // As long as a full vector ends inside both arrays.
    const int64_t in_dy = (dy_end - dy - at - kLanes) / channels + 1,
                  in_dx = (dx_end - dx - channels - kLanes) / (2 * channels) + 1;
    const int64_t fitting = in_dy < in_dx ? in_dy : in_dx;
    q = fitting < width.end_whole ? fitting : width.end_whole;
    if (q < 0) q = 0;
    scatter_pairs<kOffsets>(dy, offsets, at, q, tap, channels, dx);
    at += q * channels;
  }
  for (; q < width.windows; ++q, at += channels) {
    const int64_t start = q * width.stride - width.padding;
    const int64_t begin = start < 0 ? -start : 0;
    const int64_t end = start + width.taps < width.size ? width.taps : width.size - start;
    float* pixel = dx + (start + begin) * channels;
    if (channels >= kLanes) {
      int64_t c = 0;
      for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
        scatter_pixel<kOffsets, 4, kPastCaches>(dy, offsets, at + c, begin, end, tap, channels,
                                                pixel + c, kLanes);
      for (; c < channels; c += kLanes) {
        const int64_t from = c + kLanes <= channels ? c : channels - kLanes;
        scatter_pixel<kOffsets, 1, kPastCaches>(dy, offsets, at + from, begin, end, tap, channels,
                                                pixel + from, kLanes);
      }
      continue;
    }
    // Without gaps, what a full vector spills over is written later.
    const bool whole = width.taps == width.stride && dy_end - dy >= at + kLanes &&
                       dx_end - pixel >= (end - begin - 1) * channels + kLanes;
    scatter_pixel<kOffsets, 1, false>(dy, offsets, at, begin, end, tap, channels, pixel,
                                      whole ? kLanes : static_cast<int>(channels));
  }
  if (covered < width.size) fill_zero(dx + covered * channels, (width.size - covered) * channels);
}

// The number of the tap at `distance` from the start of its window, or -1 when dilation steps over
// it.
NEURONA_INLINE int64_t tap_at(const PoolAxis& axis, int64_t distance) {
  if (axis.dilation == 1) return distance;
  return distance % axis.dilation == 0 ? distance / axis.dilation : -1;
}

// Windows p_begin <= p < p_end of an axis reach the pixel at `position`; both only grow with the
// position.
NEURONA_INLINE void advance(const PoolAxis& axis, int64_t position, int64_t& begin, int64_t& end) {
  const int64_t from_padding = position + axis.padding, extent = (axis.taps - 1) * axis.dilation;
  while (end < axis.windows && end * axis.stride <= from_padding) ++end;
  while (begin < end && begin * axis.stride + extent < from_padding) ++begin;
}

// Brings a part of the next row of dy and of its offsets, as much as a pixel of dx needs (3x3 of
// stride 2, 64 channels of 112x112: 1.5 times as fast with batch 8, 1.8 times with 16).
template <int kOffsets>
NEURONA_INLINE void ask_for_part(const float* dy, const void* offsets, int64_t at, int64_t count) {
  constexpr int64_t kLine = 16;
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(dy + at + i, 0, 2);
  const int64_t size = kOffsets == kByteOffsets ? 1 : static_cast<int64_t>(sizeof(int32_t));
  __builtin_prefetch(static_cast<const char*>(offsets) + at * size, 0, 2);
}

template <int kOffsets, bool kPastCaches>
void overlapping_backward_row(const PoolGeometry& geometry, int64_t h, const float* dy,
                              const void* offsets, const float* dy_end, float* dx, float* dx_end,
                              bool asks_ahead) {
  const PoolAxis &height = geometry.height, &width = geometry.width;
  const int64_t channels = geometry.channels;
  int64_t p_begin = 0, p_end = 0, q_begin = 0, q_end = 0;
  advance(height, h, p_begin, p_end);
  const int64_t dy_row = width.windows * channels, per_pixel = dy_row / width.size;
  const bool more = asks_ahead && p_end < height.windows;
  for (int64_t w = 0; w < width.size; ++w) {
    advance(width, w, q_begin, q_end);
    if (more) ask_for_part<kOffsets>(dy, offsets, p_end * dy_row + w * per_pixel, per_pixel);
    const float* last = dy + ((p_end - 1) * width.windows + q_end - 1) * channels;
    const bool whole = dx_end - (dx + w * channels) >= kLanes && dy_end - last >= kLanes;
    for_each_block(
        channels, whole, [&]<int kVecs>(int64_t c, int n) __attribute__((always_inline)) {
          Vec sum[kVecs] = {};
          for (int64_t p = p_begin; p < p_end; ++p) {
            const int64_t r = tap_at(height, h + height.padding - p * height.stride);
            if (r < 0) continue;
            for (int64_t q = q_begin; q < q_end; ++q) {
              const int64_t s = tap_at(width, w + width.padding - q * width.stride);
              if (s < 0) continue;
              const int64_t at = (p * width.windows + q) * channels + c;
              const IntVec tap = broadcast_int(static_cast<int32_t>(r * width.taps + s));
#pragma GCC unroll 4
              for (int v = 0; v < kVecs; ++v) {
                const IntVec mine = load_offsets<kOffsets>(offsets, at + v * kLanes, n) == tap;
                sum[v] += select(mine, load_first(dy + at + v * kLanes, n), Vec{});
              }
            }
          }
#pragma GCC unroll 4
          for (int v = 0; v < kVecs; ++v)
            store_gradient<kPastCaches>(dx + w * channels + c + v * kLanes, sum[v], n);
        });
  }
}

template <int kOffsets, bool kPastCaches>
NEURONA_INLINE void backward_row(const PoolGeometry& geometry, int64_t h, const float* dy,
                                 const void* offsets, const float* dy_end, float* dx, float* dx_end,
                                 bool asks_ahead) {
  if (geometry.disjoint())
    disjoint_backward_row<kOffsets, kPastCaches>(geometry, h, dy, offsets, dy_end, dx, dx_end);
  else
    overlapping_backward_row<kOffsets, kPastCaches>(geometry, h, dy, offsets, dy_end, dx, dx_end,
                                                    asks_ahead);
  end_stream<kPastCaches>();
}

template <int kOffsets>
void select_backward_row(const PoolGeometry& geometry, int64_t h, const float* dy,
                         const void* offsets, const float* dy_end, float* dx, float* dx_end,
                         bool asks_ahead, bool past_caches) {
  if (past_caches)
    backward_row<kOffsets, true>(geometry, h, dy, offsets, dy_end, dx, dx_end, asks_ahead);
  else
    backward_row<kOffsets, false>(geometry, h, dy, offsets, dy_end, dx, dx_end, asks_ahead);
}

}  // namespace

PoolKernels pool2d_kernels() {
  return {{{select_row<false, kNoOffsets>, select_row<false, kByteOffsets>,
            select_row<false, kIntOffsets>},
           {select_row<true, kNoOffsets>, select_row<true, kByteOffsets>,
            select_row<true, kIntOffsets>}},
          {nullptr, select_backward_row<kByteOffsets>, select_backward_row<kIntOffsets>},
          {nullptr, largest_byte, largest_int},
          average_row,
          average_backward_row};
}

}  // namespace neurona::NEURONA_ISA
