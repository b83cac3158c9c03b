// Max and min pooling of channels-last images, a thread for each element of what is written:
//
//   y[p, q] = best over r, s of x[h, w],   h = p stride - padding + r dilation, w alike
//   offsets[p, q] = r S + s of the first winner; NaN wins
//   dx[h, w] = sum of dy[p, q] over the windows that hold (h, w) and whose offset names it, and
//              where a ReLU's y[p, q] is above 0 or NaN, if there was one
//
// dx gathers from the windows that can hold a pixel, in ascending order: no atomics, and written
// once. Every window has a pixel, so somebody sees every offset: whoever stands on the first pixel
// of a window looks whether it is right.
#include "ops/pool2d.h"

#include <algorithm>
#include <cstring>

#include "cuda/device_memory.h"
#include "cuda/lanes.cuh"
#include "cuda/late_check.cuh"
#include "cuda/places.cuh"

namespace neurona {
namespace {

template <typename Index>
struct Axis {
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
  // Whether a position lies in one window at most, of whose start the quotient below tells.
  bool has_disjoint_windows() const { return dilation == 1 && windows > 1 && stride >= taps; }
  __device__ DividedBy<Index> window_and_tap(Index position) const {
    return divide(position + padding, by_stride);
  }
  // Which tap of one of these windows the position is, or -1 if dilation steps over it.
  __device__ Index tap(Index window, Index position) const {
    const Index distance = position - start(window), steps = by_dilation.quotient(distance);
    return steps * dilation == distance ? steps : -1;
  }
};

template <typename Index>
struct Geometry {
  Axis<Index> height, width;

  explicit Geometry(const Pool2dShape& shape)
      : height(axis(shape, 0, shape.h, shape.p)), width(axis(shape, 1, shape.w, shape.q)) {}

  static Axis<Index> axis(const Pool2dShape& shape, int i, int64_t size, int64_t windows) {
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
int64_t largest_of(const Pool2dShape& shape) {
  const auto& padding = shape.window.padding;
  const int64_t images = shape.n * shape.c;
  return std::max({images * shape.h * shape.w, images * shape.p * shape.q, padding[0], padding[1]});
}

template <typename Index>
struct Pixel {
  Index row, column;
};

// Better than the best so far, or the first NaN.
template <Extremum kExtremum>
__device__ inline bool replaces(float value, float best) {
  const bool no_better = kExtremum == Extremum::kMin ? value >= best : value <= best;
  return !no_better && best == best;
}

// `offsets` may be null.
template <Extremum kExtremum, typename Index, typename Offset, int kLanes>
__global__ void select_kernel(Geometry<Index> geometry, Places places, Index count,
                              const Lanes<float, kLanes>* x, Lanes<float, kLanes>* y,
                              Lanes<Offset, kLanes>* offsets) {
  wait_for_earlier_kernels();
  const Axis<Index>&height = geometry.height, &width = geometry.width;
  const auto groups = static_cast<Index>(places.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = places[i];
    Lanes<float, kLanes> best{};
    Lanes<Offset, kLanes> winner{};
    bool is_first = true;
    const Index top = height.start(place.row), left = width.start(place.column);
    for (Index r = 0, h = top; r < height.taps; ++r, h += height.dilation) {
      if (!height.holds(h)) continue;
      const Index line = (place.image * height.size + h) * width.size;
      for (Index s = 0, w = left; s < width.taps; ++s, w += width.dilation) {
        if (!width.holds(w)) continue;
        const Lanes<float, kLanes> value = x[(line + w) * groups + place.group];
        for (int lane = 0; lane < kLanes; ++lane)
          if (is_first || replaces<kExtremum>(value[lane], best[lane])) {
            best[lane] = value[lane];
            winner[lane] = static_cast<Offset>(r * width.taps + s);
          }
        is_first = false;
      }
    }
    y[i] = best;
    if (offsets) offsets[i] = winner;
  }
}

// The pixel of the image, or beside it, that an offset of window (p, q) names.
template <typename Index>
__device__ inline Pixel<Index> pixel_of(const Geometry<Index>& geometry, Index p, Index q,
                                        Index offset, const Divisor& by_columns) {
  const Index r = by_columns.quotient(offset), s = offset - r * geometry.width.taps;
  return {geometry.height.start(p) + r * geometry.height.dilation,
          geometry.width.start(q) + s * geometry.width.dilation};
}

// Whether it is one of the window's and points into the image.
template <typename Index>
__device__ inline bool is_right(const Geometry<Index>& geometry, Index p, Index q, Index offset,
                                const Divisor& by_columns) {
  if (offset < 0 || offset >= geometry.height.taps * geometry.width.taps) return false;
  if (geometry.height.holds_window(p) && geometry.width.holds_window(q)) return true;
  const Pixel<Index> pixel = pixel_of(geometry, p, q, offset, by_columns);
  return geometry.height.holds(pixel.row) && geometry.width.holds(pixel.column);
}

// kDisjoint: no pixel lies in two windows, so that there is nothing to look for.
template <bool kDisjoint, typename Index, typename Offset, int kLanes>
__global__ void backward_kernel(Geometry<Index> geometry, Places places, Index count,
                                Divisor by_columns, const Lanes<float, kLanes>* dy,
                                const Lanes<Offset, kLanes>* offsets,
                                const Lanes<float, kLanes>* rectified, Lanes<float, kLanes>* dx,
                                Position* wrong) {
  wait_for_earlier_kernels();
  const Axis<Index>&height = geometry.height, &width = geometry.width;
  const auto groups = static_cast<Index>(places.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = places[i];
    const Index row = place.row, column = place.column;
    Lanes<float, kLanes> sum{};
    const auto add_window = [&](Index p, Index r, Index q, Index s) {
      const auto tap = static_cast<Offset>(r * width.taps + s);
      const Index line = (place.image * height.windows + p) * width.windows,
                  at = (line + q) * groups + place.group;
      const Lanes<Offset, kLanes> winner = offsets[at];
      Lanes<float, kLanes> gradient = dy[at];
      if (rectified) {
        const Lanes<float, kLanes> y = rectified[at];
        for (int lane = 0; lane < kLanes; ++lane)
          if (y[lane] <= 0) gradient[lane] = 0;
      }
      for (int lane = 0; lane < kLanes; ++lane)
        if (winner[lane] == tap) sum[lane] += gradient[lane];
      const bool is_first =
          (r == 0 || row < height.dilation) && (s == 0 || column < width.dilation);
      if (!is_first) return;
      for (int lane = 0; lane < kLanes; ++lane)
        if (!is_right(geometry, p, q, static_cast<Index>(winner[lane]), by_columns))
          note_wrong(wrong, int64_t{at} * kLanes + lane);
    };
    if constexpr (kDisjoint) {
      const auto [p, r] = height.window_and_tap(row);
      const auto [q, s] = width.window_and_tap(column);
      if (p < height.windows && r < height.taps && q < width.windows && s < width.taps)
        add_window(p, r, q, s);
    } else {
      const Index q_first = width.first_over(column), q_end = width.end_over(column),
                  p_end = height.end_over(row);
      for (Index p = height.first_over(row); p < p_end; ++p) {
        const Index r = height.tap(p, row);
        if (r < 0) continue;
        for (Index q = q_first; q < q_end; ++q)
          if (const Index s = width.tap(q, column); s >= 0) add_window(p, r, q, s);
      }
    }
    dx[i] = sum;
  }
}

// The offsets are known to point into the image.
template <typename Offset>
__global__ void indices_kernel(Geometry<int64_t> geometry, Places places, Divisor by_columns,
                               int64_t count, const Offset* offsets, int64_t* indices) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place window = places[i];
    const Pixel<int64_t> pixel =
        pixel_of<int64_t>(geometry, window.row, window.column, offsets[i], by_columns);
    indices[i] = pixel.row * geometry.width.size + pixel.column;
  }
}

template <typename Offset>
__global__ void check_kernel(Geometry<int64_t> geometry, Places places, Divisor by_columns,
                             int64_t count, const Offset* offsets, Position* wrong) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place window = places[i];
    if (!is_right<int64_t>(geometry, window.row, window.column, offsets[i], by_columns))
      note_wrong(wrong, i);
  }
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

template <Extremum kExtremum>
void forward(const char* name, const Pool2dShape& shape, const float* x, float* y, void* offsets) {
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_pointer_t<decltype(winners)>;
    with_even_lanes(shape.c, {x, y, offsets}, [&](auto lanes) {
      constexpr int kLanes = decltype(lanes)::value;
      const int64_t groups = shape.c / kLanes, count = shape.n * shape.p * shape.q * groups;
      with_index(largest_of(shape), [&]<typename Index>(Index) {
        launch(name, select_kernel<kExtremum, Index, Offset, kLanes>,
               overlapping(over_elements(count)), Geometry<Index>(shape),
               Places(shape.p, shape.q, groups), static_cast<Index>(count), as_lanes<kLanes>(x),
               as_lanes<kLanes>(y), as_lanes<kLanes>(winners));
      });
    });
  });
}

}  // namespace

void select_pool2d_forward(const Pool2dShape& shape, Extremum extremum, const float* x, float* y,
                           void* offsets) {
  if (extremum == Extremum::kMax)
    forward<Extremum::kMax>("max_pool2d_forward", shape, x, y, offsets);
  else
    forward<Extremum::kMin>("min_pool2d_forward", shape, x, y, offsets);
}

void select_pool2d_backward(const char* op, const Pool2dShape& shape, const float* dy,
                            const void* offsets, const float* rectified, float* dx) {
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_const_t<std::remove_pointer_t<decltype(winners)>>;
    const FirstWrong wrong = wrong_offset(op, shape, winners);
    with_even_lanes(shape.c, {dy, offsets, rectified, dx}, [&](auto lanes) {
      constexpr int kLanes = decltype(lanes)::value;
      const int64_t groups = shape.c / kLanes, count = shape.n * shape.h * shape.w * groups;
      with_index(largest_of(shape), [&]<typename Index>(Index) {
        const Geometry<Index> geometry(shape);
        const bool disjoint =
            geometry.height.has_disjoint_windows() && geometry.width.has_disjoint_windows();
        launch("pool2d_backward",
               disjoint ? backward_kernel<true, Index, Offset, kLanes>
                        : backward_kernel<false, Index, Offset, kLanes>,
               overlapping(over_elements(count)), geometry, Places(shape.h, shape.w, groups),
               static_cast<Index>(count), Divisor(shape.window.kernel[1]), as_lanes<kLanes>(dy),
               as_lanes<kLanes>(winners), as_lanes<kLanes>(rectified), as_lanes<kLanes>(dx),
               wrong.get());
      });
    });
    wrong.check();
  });
}

void pool2d_indices(const Pool2dShape& shape, const void* offsets, int64_t* indices) {
  const int64_t count = shape.n * shape.p * shape.q * shape.c;
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_const_t<std::remove_pointer_t<decltype(winners)>>;
    launch("pool2d_indices", indices_kernel<Offset>, over_elements(count), Geometry<int64_t>(shape),
           Places(shape.p, shape.q, shape.c), Divisor(shape.window.kernel[1]), count, winners,
           indices);
  });
}

void check_offsets(const char* op, const Pool2dShape& shape, const void* offsets) {
  const int64_t count = shape.n * shape.p * shape.q * shape.c;
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_const_t<std::remove_pointer_t<decltype(winners)>>;
    const FirstWrong wrong = wrong_offset(op, shape, winners);
    launch(op, check_kernel<Offset>, over_elements(count), Geometry<int64_t>(shape),
           Places(shape.p, shape.q, shape.c), Divisor(shape.window.kernel[1]), count, winners,
           wrong.get());
    wrong.check();
  });
}

}  // namespace neurona
