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
  // Of a window whose pixels lie in no other and, with those up to the next window, are few: a
  // cell.
  bool has_cells() const { return dilation == 1 && stride >= taps && stride <= 4; }
  int64_t cells() const { return divide_up(int64_t{size} + padding, stride); }
  bool has_quads() const { return dilation == 1 && stride == 2; }
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

// dy of a window, where a ReLU's y, if there was one, is above 0 or NaN.
template <typename Index, int kLanes>
__device__ inline Lanes<float, kLanes> gradient_of(Index window, const Lanes<float, kLanes>* dy,
                                                   const Lanes<float, kLanes>* rectified) {
  Lanes<float, kLanes> gradient = dy[window];
  if (rectified) {
    const Lanes<float, kLanes> y = rectified[window];
    for (int lane = 0; lane < kLanes; ++lane)
      if (y[lane] <= 0) gradient[lane] = 0;
  }
  return gradient;
}

template <typename Index, typename Offset, int kLanes>
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
    const Index q_first = width.first_over(column), q_end = width.end_over(column),
                p_end = height.end_over(row);
    for (Index p = height.first_over(row); p < p_end; ++p) {
      const Index r = height.tap(p, row);
      if (r < 0) continue;
      const Index line = (place.image * height.windows + p) * width.windows;
      for (Index q = q_first; q < q_end; ++q) {
        const Index s = width.tap(q, column);
        if (s < 0) continue;
        const auto tap = static_cast<Offset>(r * width.taps + s);
        const Index at = (line + q) * groups + place.group;
        const Lanes<Offset, kLanes> winner = offsets[at];
        const Lanes<float, kLanes> gradient = gradient_of(at, dy, rectified);
        for (int lane = 0; lane < kLanes; ++lane)
          if (winner[lane] == tap) sum[lane] += gradient[lane];
        const bool is_first =
            (r == 0 || row < height.dilation) && (s == 0 || column < width.dilation);
        if (!is_first) continue;
        for (int lane = 0; lane < kLanes; ++lane)
          if (!is_right(geometry, p, q, static_cast<Index>(winner[lane]), by_columns))
            note_wrong(wrong, int64_t{at} * kLanes + lane);
      }
    }
    dx[i] = sum;
  }
}

// The same where no pixel lies in two windows: a thread has a window with all pixels up to the next
// one, so that it is read once, and nothing is looked for. Pixels of no window are in cells without
// one.
template <typename Index, typename Offset, int kLanes>
__global__ void cells_kernel(Geometry<Index> geometry, Places cells, Index count,
                             Divisor by_columns, const Lanes<float, kLanes>* dy,
                             const Lanes<Offset, kLanes>* offsets,
                             const Lanes<float, kLanes>* rectified, Lanes<float, kLanes>* dx,
                             Position* wrong) {
  wait_for_earlier_kernels();
  const Axis<Index>&height = geometry.height, &width = geometry.width;
  const auto groups = static_cast<Index>(cells.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = cells[i];
    const Index p = place.row, q = place.column;
    Lanes<Offset, kLanes> winner{};
    Lanes<float, kLanes> gradient{};
    if (p < height.windows && q < width.windows) {
      const Index line = (place.image * height.windows + p) * width.windows,
                  at = (line + q) * groups + place.group;
      winner = offsets[at];
      gradient = gradient_of(at, dy, rectified);
      for (int lane = 0; lane < kLanes; ++lane)
        if (!is_right(geometry, p, q, static_cast<Index>(winner[lane]), by_columns))
          note_wrong(wrong, int64_t{at} * kLanes + lane);
    }
    for (Index r = 0, h = height.start(p); r < height.stride; ++r, ++h) {
      if (!height.holds(h)) continue;
      const Index line = (place.image * height.size + h) * width.size;
      for (Index s = 0, w = width.start(q); s < width.stride; ++s, ++w) {
        if (!width.holds(w)) continue;
        // Behind the window's last tap in a row, numbers are those of the next row.
        const bool is_tap = s < width.taps;
        const Index tap = r * width.taps + s;
        Lanes<float, kLanes> of_pixel;
        for (int lane = 0; lane < kLanes; ++lane)
          of_pixel[lane] =
              is_tap && static_cast<Index>(winner[lane]) == tap ? gradient[lane] : 0.0f;
        dx[(line + w) * groups + place.group] = of_pixel;
      }
    }
  }
}

// The same where windows overlap and begin at every second row and column: a thread has 2 x 2
// pixels, and reads each of their windows once.
template <typename Index, typename Offset, int kLanes>
__global__ void quads_kernel(Geometry<Index> geometry, Places quads, Index count,
                             Divisor by_columns, const Lanes<float, kLanes>* dy,
                             const Lanes<Offset, kLanes>* offsets,
                             const Lanes<float, kLanes>* rectified, Lanes<float, kLanes>* dx,
                             Position* wrong) {
  wait_for_earlier_kernels();
  const Axis<Index>&height = geometry.height, &width = geometry.width;
  const auto groups = static_cast<Index>(quads.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = quads[i];
    const Index top = 2 * place.row, left = 2 * place.column;
    Lanes<float, kLanes> sums[2][2] = {};
    const Index q_first = width.first_over(left),
                q_end = width.end_over(min(left + 1, width.size - 1)),
                p_end = height.end_over(min(top + 1, height.size - 1));
    for (Index p = height.first_over(top); p < p_end; ++p) {
      const Index line = (place.image * height.windows + p) * width.windows;
      const bool is_first_row = max(height.start(p), Index{0}) >= top;
      for (Index q = q_first; q < q_end; ++q) {
        const Index at = (line + q) * groups + place.group;
        const Lanes<Offset, kLanes> winner = offsets[at];
        const Lanes<float, kLanes> gradient = gradient_of(at, dy, rectified);
        NEURONA_UNROLL
        for (int pixel = 0; pixel < 4; ++pixel) {
          const int down = pixel / 2, across = pixel % 2;
          const Index r = top + down - height.start(p), s = left + across - width.start(q);
          const bool is_tap = r >= 0 && r < height.taps && s >= 0 && s < width.taps;
          const Index tap = is_tap ? r * width.taps + s : -1;
          NEURONA_UNROLL
          for (int lane = 0; lane < kLanes; ++lane)
            if (static_cast<Index>(winner[lane]) == tap) sums[down][across][lane] += gradient[lane];
        }
        if (!is_first_row || max(width.start(q), Index{0}) < left) continue;
        for (int lane = 0; lane < kLanes; ++lane)
          if (!is_right(geometry, p, q, static_cast<Index>(winner[lane]), by_columns))
            note_wrong(wrong, int64_t{at} * kLanes + lane);
      }
    }
    NEURONA_UNROLL
    for (int pixel = 0; pixel < 4; ++pixel) {
      const Index h = top + pixel / 2, w = left + pixel % 2;
      if (h < height.size && w < width.size)
        dx[((place.image * height.size + h) * width.size + w) * groups + place.group] =
            sums[pixel / 2][pixel % 2];
    }
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
      const int64_t groups = shape.c / kLanes;
      with_index(largest_of(shape), [&]<typename Index>(Index) {
        const Geometry<Index> geometry(shape);
        const auto& [height, width] = geometry;
        const auto run = [&](auto kernel, int64_t rows, int64_t columns) {
          const int64_t count = shape.n * rows * columns * groups;
          launch("pool2d_backward", kernel, overlapping(over_elements(count)), geometry,
                 Places(rows, columns, groups), static_cast<Index>(count),
                 Divisor(shape.window.kernel[1]), as_lanes<kLanes>(dy), as_lanes<kLanes>(winners),
                 as_lanes<kLanes>(rectified), as_lanes<kLanes>(dx), wrong.get());
        };
        if (height.has_cells() && width.has_cells())
          run(cells_kernel<Index, Offset, kLanes>, height.cells(), width.cells());
        else if (height.has_quads() && width.has_quads())
          run(quads_kernel<Index, Offset, kLanes>, divide_up(shape.h, 2), divide_up(shape.w, 2));
        else
          run(backward_kernel<Index, Offset, kLanes>, shape.h, shape.w);
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
