// Routines of pooling, for one row at a time of a channels-last array. max, min and average; see
// ops/pool2d.h, ops/avg_pool2d.h.
#pragma once

#include <stdint.h>

namespace neurona {

// One spatial axis: extent of the image, number of windows, and which elements a window takes. The
// windows from first_whole to end_whole - 1 are not cut by the edges of the image.
struct PoolAxis {
  int64_t size, windows, taps, stride, padding, dilation, first_whole, end_whole;

  bool is_cut(int64_t index) const { return index < first_whole || index >= end_whole; }
  bool any_cut() const { return first_whole > 0 || end_whole < windows; }
};

struct PoolGeometry {
  int64_t channels;
  PoolAxis height, width;

  // No element lies in two windows.
  bool disjoint() const {
    return height.taps <= height.stride && width.taps <= width.stride && height.dilation == 1 &&
           width.dilation == 1;
  }
};

struct TapRange {
  int64_t begin, end;
};

// The taps of window `index` that lie inside the image: no window misses it.
static inline TapRange taps_inside(const PoolAxis& axis, int64_t index) {
  const int64_t start = index * axis.stride - axis.padding, step = axis.dilation;
  const int64_t last = (axis.size - start + step - 1) / step;
  return {start < 0 ? (step - 1 - start) / step : 0, last < axis.taps ? last : axis.taps};
}

enum OffsetKind { kNoOffsets, kByteOffsets, kIntOffsets };

// Window sums along one row; the tables have one entry per window or, in the backward direction,
// per pixel.
struct PoolSpans {
  const int64_t *begin,
      *end;            // columns of the image that a window takes; windows that cover a pixel
  const float* scale;  // per window: the divisor, or its reciprocal in the backward direction
  int64_t count;       // entries of begin and end
};

// `x_end`, `dy_end`: where the whole array ends; nothing is read behind it. `y_end`, `dx_end`:
// where the rows end that the caller fills in ascending order; what lies between a row and that end
// may be overwritten, nothing else.
struct PoolKernels {
  // Row `p` of y and of the offsets; x is the image. [0] keeps the largest element of each window,
  // [1] the smallest; the second index is an OffsetKind.
  void (*select_row[2][3])(const PoolGeometry& geometry, int64_t p, const float* x,
                           const float* x_end, float* y, const float* y_end, void* offsets);
  // Row `h` of dx; dy and offsets are those of the whole image. Indexed by OffsetKind, of which
  // kNoOffsets is null. asks_ahead: for the next row of dy. past_caches (see stream.inl) asks for
  // channels in whole vectors, a dx that starts with one, and windows without gaps.
  void (*select_backward_row[3])(const PoolGeometry& geometry, int64_t h, const float* dy,
                                 const void* offsets, const float* dy_end, float* dx, float* dx_end,
                                 bool asks_ahead, bool past_caches);
  uint32_t (*largest_offset[3])(const void* offsets, int64_t count);

  // y = sum over `rows` rows of x and the columns of each span / (divisor * scale).
  void (*average_row)(int64_t channels, const PoolSpans& spans, const float* x, const float* x_end,
                      int64_t rows, int64_t row_step, float divisor, float* y, float* y_end);
  // dx = sum over `rows` rows of dy and the windows of each span of row_scale[row] * scale * dy.
  void (*average_backward_row)(int64_t channels, const PoolSpans& spans, const float* dy,
                               const float* dy_end, int64_t rows, int64_t row_step,
                               const float* row_scale, float* dx, float* dx_end);
};

}  // namespace neurona
