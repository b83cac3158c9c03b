// The windows of max and min pooling: where they lie in the image, and whether an offset names one
// of their pixels.
#pragma once

#include <algorithm>
#include <cstring>

#include "cuda/common/late_check.cuh"
#include "cuda/common/places.cuh"
#include "ops/pool2d.h"

namespace neurona {

template <typename Index>
struct Pool2dAxis {
  Index size, windows, taps, stride, padding, dilation;
  Divisor by_stride, by_dilation;

  __device__ Index start(Index window) const { return window * stride - padding; }
  __device__ bool holds(Index position) const { return position >= 0 && position < size; }
  __device__ bool holds_window(Index window) const {
    return start(window) >= 0 && start(window) + (taps - 1) * dilation < size;
  }

  // The windows that reach from before the position, or from it, to it or behind it.
  __device__ Index first_over(Index position) const {
    const Index missing = position + padding - (taps - 1) * dilation;
    return missing > 0 ? by_stride.quotient(missing + stride - 1) : 0;
  }
  __device__ Index end_over(Index position) const {
    return min(windows, by_stride.quotient(position + padding) + 1);
  }
  bool is_dense(int64_t taps_along) const { return taps == taps_along && dilation == 1; }
  // Of a window whose pixels lie in no other and, with those up to the next window, are few: a
  // cell.
  bool has_cells() const { return dilation == 1 && stride >= taps && stride <= 4; }
  int64_t cells() const { return divide_up(int64_t{size} + padding, stride); }
  // Of 3 taps and stride 2: pairs of positions, some of them beside the image, that are taps 1 and
  // 2 of one window and tap 0 of the next. Every window is the first one of a pair.
  bool has_pairs() const { return is_dense(3) && stride == 2; }
  int64_t pairs() const {
    return std::max(divide_up(int64_t{size} + 1 - padding, 2), int64_t{windows} + 1 - padding);
  }
  __device__ Index window_of_pair(Index pair) const { return pair + padding - 1; }
  __device__ Index nearest_window(Index window) const {
    return min(max(window, Index{0}), windows - 1);
  }
  // Which tap of one of these windows the position is, or -1 if dilation steps over it.
  __device__ Index tap(Index window, Index position) const {
    const Index distance = position - start(window), steps = by_dilation.quotient(distance);
    return steps * dilation == distance ? steps : -1;
  }
};

template <typename Index>
struct Pool2dGeometry {
  Pool2dAxis<Index> height, width;

  explicit Pool2dGeometry(const Pool2dShape& shape)
      : height(axis(shape, 0, shape.h, shape.p)), width(axis(shape, 1, shape.w, shape.q)) {}

  static Pool2dAxis<Index> axis(const Pool2dShape& shape, int i, int64_t size, int64_t windows) {
    const auto& window = shape.window;
    // One window has no stride, and one tap no dilation: 1 stands for any, however large. Others
    // are no longer than the padded image.
    const int64_t stride = windows > 1 ? window.stride[i] : 1,
                  dilation = window.kernel[i] > 1 ? window.dilation[i] : 1;
    return {static_cast<Index>(size),
            static_cast<Index>(windows),
            static_cast<Index>(window.kernel[i]),
            static_cast<Index>(stride),
            static_cast<Index>(window.padding[i]),
            static_cast<Index>(dilation),
            Divisor(stride),
            Divisor(dilation)};
  }
};

// What with_index goes by: the elements of both arrays; no kernel is longer than the padded image.
inline int64_t largest_of(const Pool2dShape& shape) {
  const auto& padding = shape.window.padding;
  const int64_t images = shape.n * shape.c;
  return std::max({images * shape.h * shape.w, images * shape.p * shape.q, padding[0], padding[1]});
}

template <typename Index>
struct Pool2dPixel {
  Index row, column;
};

// The pixel of the image, or beside it, that an offset of window (p, q) names.
template <typename Index>
__device__ inline Pool2dPixel<Index> pixel_of(const Pool2dGeometry<Index>& geometry, Index p,
                                              Index q, Index offset, const Divisor& by_columns) {
  const Index r = by_columns.quotient(offset), s = offset - r * geometry.width.taps;
  return {geometry.height.start(p) + r * geometry.height.dilation,
          geometry.width.start(q) + s * geometry.width.dilation};
}

// Whether it is one of the window's and points into the image.
template <typename Index>
__device__ inline bool is_right(const Pool2dGeometry<Index>& geometry, Index p, Index q,
                                Index offset, const Divisor& by_columns) {
  if (offset < 0 || offset >= geometry.height.taps * geometry.width.taps) return false;
  if (geometry.height.holds_window(p) && geometry.width.holds_window(q)) return true;
  const Pool2dPixel<Index> pixel = pixel_of(geometry, p, q, offset, by_columns);
  return geometry.height.holds(pixel.row) && geometry.width.holds(pixel.column);
}

// Calls body(a pointer of the type of the offsets).
template <typename Void, typename Body>
void with_offsets(const Pool2dShape& shape, Void* offsets, const Body& body) {
  constexpr bool kConst = std::is_const_v<Void>;
  if (shape.byte_offsets())
    body(static_cast<std::conditional_t<kConst, const uint8_t, uint8_t>*>(offsets));
  else
    body(static_cast<std::conditional_t<kConst, const int32_t, int32_t>*>(offsets));
}

template <typename Offset>
FirstWrong wrong_offset(const char* op, const Pool2dShape& shape, const Offset* offsets) {
  return {values_of(offsets), [op, shape](int64_t at, const void* bytes) {
            Offset offset;
            std::memcpy(&offset, bytes, sizeof offset);
            fail_offset(op, shape, at, offset);
          }};
}

}  // namespace neurona
