// The gradient of max and min pooling of channels-last images:
//
//   dx[h, w] = sum of dy[p, q] over the windows that hold (h, w) and whose offset names it, and
//              where a ReLU's y[p, q] is above 0 or NaN, if there was one
//
// dx gathers from the windows that can hold a pixel, in ascending order: no atomics, and written
// once. Every window has a pixel, so somebody sees every offset: whoever stands on the first pixel
// of a window looks whether it is right.
#include <type_traits>

#include "cuda/common/lanes.cuh"
#include "cuda/pool2d_windows.cuh"
#include "ops/pool2d.h"

namespace neurona {
namespace {

// Leaves of a window's gradient what a ReLU's y lets through: where that is above 0 or NaN.
template <typename Index, int kLanes>
__device__ inline void rectify(Index window, const Lanes<float, kLanes>* rectified,
                               Lanes<float, kLanes>& gradient) {
  const Lanes<float, kLanes> y = rectified[window];
  for (int lane = 0; lane < kLanes; ++lane)
    if (y[lane] <= 0) gradient[lane] = 0;
}

// dy of a window, rectified if there was a ReLU.
template <typename Index, int kLanes>
__device__ inline Lanes<float, kLanes> gradient_of(Index window, const Lanes<float, kLanes>* dy,
                                                   const Lanes<float, kLanes>* rectified) {
  Lanes<float, kLanes> gradient = dy[window];
  if (rectified) rectify(window, rectified, gradient);
  return gradient;
}

template <typename Index, typename Offset, int kLanes>
__global__ void backward_kernel(Pool2dGeometry<Index> geometry, Places places, Index count,
                                Divisor by_columns, const Lanes<float, kLanes>* dy,
                                const Lanes<Offset, kLanes>* offsets,
                                const Lanes<float, kLanes>* rectified, Lanes<float, kLanes>* dx,
                                Position* wrong) {
  wait_for_earlier_kernels();
  const Pool2dAxis<Index>&height = geometry.height, &width = geometry.width;
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
__global__ void cells_kernel(Pool2dGeometry<Index> geometry, Places cells, Index count,
                             Divisor by_columns, const Lanes<float, kLanes>* dy,
                             const Lanes<Offset, kLanes>* offsets,
                             const Lanes<float, kLanes>* rectified, Lanes<float, kLanes>* dx,
                             Position* wrong) {
  wait_for_earlier_kernels();
  const Pool2dAxis<Index>&height = geometry.height, &width = geometry.width;
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

// The offsets of neighbouring channels, a byte each, in one register.
template <int kLanes, typename Index>
__device__ inline uint32_t packed(const Lanes<uint8_t, kLanes>* offsets, Index window) {
  using Bytes =
      std::conditional_t<kLanes == 4, uint32_t, std::conditional_t<kLanes == 2, uint16_t, uint8_t>>;
  return reinterpret_cast<const Bytes*>(offsets)[window];
}
constexpr uint32_t kNoOffsets = 0xffffffff;

__device__ inline uint32_t byte_of(uint32_t bytes, int lane) { return bytes >> 8 * lane & 0xff; }

// Whether a byte is `limit`, of at most 128, or more.
__device__ inline bool any_reaches(uint32_t limit, uint32_t bytes) {
  const uint32_t distance = 0x01010101 * (128 - limit);
  return (((bytes & 0x7f7f7f7f) + distance) | bytes) & 0x80808080;
}

// Notes which offsets of the first window of a quad are wrong. Few threads come here, so the others
// keep nothing for it.
template <typename Index, int kLanes>
__device__ inline void look_at_offsets(const Pool2dGeometry<Index>& geometry, const Places& quads,
                                       Index quad, const Divisor& by_columns,
                                       const Lanes<uint8_t, kLanes>* offsets, Position* wrong) {
  const PlaceBy<Index> place = quads[quad];
  const Pool2dAxis<Index>&height = geometry.height, &width = geometry.width;
  const Index p = height.window_of_pair(place.row), q = width.window_of_pair(place.column),
              line = (place.image * height.windows + p) * width.windows,
              at = (line + q) * static_cast<Index>(quads.groups()) + place.group;
  const uint32_t winners = packed(offsets, at);
  NEURONA_NO_UNROLL
  for (int lane = 0; lane < kLanes; ++lane)
    if (!is_right(geometry, p, q, static_cast<Index>(byte_of(winners, lane)), by_columns))
      note_wrong(wrong, int64_t{at} * kLanes + lane);
}

// The same for windows of 3 x 3 at every second row and column, with a padding of 0 or 1: a thread
// has 2 x 2 pixels that are taps 1 and 2 of one window, in rows and in columns, and tap 0 of the
// next. So it knows of each of the four windows which taps the pixels are. Every window is the
// first one of some thread, which looks at its offsets. Instead of one that is not there the
// nearest is read, and has no winners.
//
// A thread has one quad and no loop: what a loop would keep in registers from one quad to the next
// is more than there are.
template <typename Index, int kLanes>
__global__ void __launch_bounds__(kBlock, sizeof(Index) == 4 ? kFullBlocks * 5 / 6 : 1)
    quads_kernel(Pool2dGeometry<Index> geometry, Places quads, Index count, Divisor by_columns,
                 const Lanes<float, kLanes>* dy, const Lanes<uint8_t, kLanes>* offsets,
                 const Lanes<float, kLanes>* rectified, Lanes<float, kLanes>* dx, Position* wrong) {
  constexpr int kTaps = 3;
  wait_for_earlier_kernels();
  const Pool2dAxis<Index>&height = geometry.height, &width = geometry.width;
  const auto groups = static_cast<Index>(quads.groups());
  const auto i = static_cast<Index>(first_element());
  if (i >= count) return;
  const PlaceBy<Index> place = quads[i];
  const Index p = height.window_of_pair(place.row), q = width.window_of_pair(place.column),
              top = height.start(p) + 1, left = width.start(q) + 1;
  bool is_doubtful = false;
  Lanes<float, kLanes> sums[2][2] = {};
  NEURONA_UNROLL
  for (int below = 0; below < 2; ++below) {
    const Index row = height.nearest_window(p + below),
                line = (place.image * height.windows + row) * width.windows;
    Index at[2];
    uint32_t winners[2];
    Lanes<float, kLanes> gradients[2];
    NEURONA_UNROLL
    for (int behind = 0; behind < 2; ++behind) {
      const Index column = width.nearest_window(q + behind);
      at[behind] = (line + column) * groups + place.group;
      winners[behind] = packed(offsets, at[behind]);
      gradients[behind] = dy[at[behind]];
      if (row != p + below || column != q + behind) winners[behind] = kNoOffsets;
    }
    if (rectified) {
      NEURONA_UNROLL
      for (int behind = 0; behind < 2; ++behind) rectify(at[behind], rectified, gradients[behind]);
    }
    if (below == 0)
      is_doubtful = any_reaches(kTaps * kTaps, winners[0]) ||
                    !(height.holds_window(p) && width.holds_window(q));
    NEURONA_UNROLL
    for (int down = below; down < 2; ++down) {
      NEURONA_UNROLL
      for (int across = 0; across < 2; ++across) {
        NEURONA_UNROLL
        for (int behind = 0; behind <= across; ++behind) {
          const uint32_t tap = (down + 1 - 2 * below) * kTaps + across + 1 - 2 * behind;
          NEURONA_UNROLL
          for (int lane = 0; lane < kLanes; ++lane)
            if (byte_of(winners[behind], lane) == tap)
              sums[down][across][lane] += gradients[behind][lane];
        }
      }
    }
    // The upper row has no other windows.
    const Index h = top + below,
                pixel =
                    ((place.image * height.size + h) * width.size + left) * groups + place.group;
    NEURONA_UNROLL
    for (int across = 0; across < 2; ++across)
      if (height.holds(h) && width.holds(left + across))
        dx[pixel + across * groups] = sums[below][across];
  }
  if (is_doubtful && p >= 0 && p < height.windows && q >= 0 && q < width.windows)
    look_at_offsets(geometry, quads, i, by_columns, offsets, wrong);
}

// Of a thread for each element.
Launch one_each(int64_t count) { return {dim3(static_cast<unsigned>(divide_up(count, kBlock)))}; }

}  // namespace

void select_pool2d_backward(const char* op, const Pool2dShape& shape, const float* dy,
                            const void* offsets, const float* rectified, float* dx) {
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_const_t<std::remove_pointer_t<decltype(winners)>>;
    const FirstWrong wrong = wrong_offset(op, shape, winners);
    with_even_lanes(shape.c, {dy, offsets, rectified, dx}, [&](auto lanes) {
      constexpr int kLanes = decltype(lanes)::value;
      const int64_t groups = shape.c / kLanes;
      with_index(largest_of(shape), [&]<typename Index>(Index) {
        const Pool2dGeometry<Index> geometry(shape);
        const auto& [height, width] = geometry;
        const auto run = [&](auto kernel, int64_t rows, int64_t columns, const auto& shape_of) {
          const int64_t count = shape.n * rows * columns * groups;
          launch("pool2d_backward", kernel, overlapping(shape_of(count)), geometry,
                 Places(rows, columns, groups), static_cast<Index>(count),
                 Divisor(shape.window.kernel[1]), as_lanes<kLanes>(dy), as_lanes<kLanes>(winners),
                 as_lanes<kLanes>(rectified), as_lanes<kLanes>(dx), wrong.get());
        };
        // More than 255 taps make neither cells nor pairs.
        if constexpr (sizeof(Offset) == 1) {
          if (height.has_cells() && width.has_cells())
            return run(cells_kernel<Index, Offset, kLanes>, height.cells(), width.cells(),
                       over_elements);
          if (height.has_pairs() && width.has_pairs())
            return run(quads_kernel<Index, kLanes>, height.pairs(), width.pairs(), one_each);
        }
        run(backward_kernel<Index, Offset, kLanes>, shape.h, shape.w, over_elements);
      });
    });
    wrong.check();
  });
}

}  // namespace neurona
