// Max and min pooling of channels-last images, a thread for each element of what is written:
//
//   y[p, q] = best over r, s of x[h, w],   h = p stride - padding + r dilation, w alike
//   offsets[p, q] = r S + s of the first winner; NaN wins
#include "ops/pool2d.h"

#include "cuda/platform/device_memory.h"
#include "cuda/common/lanes.cuh"
#include "cuda/pool2d_windows.cuh"

namespace neurona {
namespace {

// Better than the best so far, or the first NaN.
template <Extremum kExtremum>
__device__ inline bool replaces(float value, float best) {
  const bool no_better = kExtremum == Extremum::kMin ? value >= best : value <= best;
  return !no_better && best == best;
}

// `offsets` may be null.
template <Extremum kExtremum, typename Index, typename Offset, int kLanes>
__global__ void select_kernel(Pool2dGeometry<Index> geometry, Places places, Index count,
                              const Lanes<float, kLanes>* x, Lanes<float, kLanes>* y,
                              Lanes<Offset, kLanes>* offsets) {
  wait_for_earlier_kernels();
  const Pool2dAxis<Index>&height = geometry.height, &width = geometry.width;
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

// The same for square windows of 2 or 3 taps without dilation: nothing is asked of a single tap,
// and a row's are all under way before the first is looked at.
//
// Padding is at most 1 and every window begins in the image or right before it, so only the first
// tap of a row or column can lie before the image, and only later ones behind it. A tap outside
// reads its neighbour inside. One behind never wins, since the neighbour came first; where one
// before has won, the neighbour gets the offset.
template <Extremum kExtremum, typename Offset, int kTaps, int kLanes>
__global__ void __launch_bounds__(kBlock, kFullBlocks)
    dense_kernel(Pool2dGeometry<int32_t> geometry, Places places, int32_t count,
                 const Lanes<float, kLanes>* x, Lanes<float, kLanes>* y,
                 Lanes<Offset, kLanes>* offsets) {
  wait_for_earlier_kernels();
  const Pool2dAxis<int32_t>&height = geometry.height, &width = geometry.width;
  const auto groups = static_cast<int32_t>(places.groups()),
             stride = static_cast<int32_t>(element_stride());
  for (auto i = static_cast<int32_t>(first_element()); i < count; i += stride) {
    const PlaceBy<int32_t> place = places[i];
    const int32_t top = height.start(place.row), left = width.start(place.column),
                  steps_inside = (top < 0 ? kTaps : 0) + (left < 0 ? 1 : 0);
    int32_t columns[kTaps];
    NEURONA_UNROLL
    for (int s = 0; s < kTaps; ++s)
      columns[s] = (s == 0 ? max(left, 0) : min(left + s, width.size - 1)) * groups;
    Lanes<float, kLanes> best{};
    Lanes<int32_t, kLanes> winner{};
    NEURONA_UNROLL
    for (int r = 0; r < kTaps; ++r) {
      const int32_t h = r == 0 ? max(top, 0) : min(top + r, height.size - 1);
      const int32_t line = (place.image * height.size + h) * width.size * groups + place.group;
      Lanes<float, kLanes> values[kTaps];
      NEURONA_UNROLL
      for (int s = 0; s < kTaps; ++s) values[s] = x[line + columns[s]];
      NEURONA_UNROLL
      for (int s = 0; s < kTaps; ++s) {
        NEURONA_UNROLL
        for (int lane = 0; lane < kLanes; ++lane)
          if ((r == 0 && s == 0) || replaces<kExtremum>(values[s][lane], best[lane])) {
            best[lane] = values[s][lane];
            winner[lane] = r * kTaps + s;
          }
      }
    }
    y[i] = best;
    if (!offsets) continue;
    if (steps_inside > 0) {
      NEURONA_UNROLL
      for (int lane = 0; lane < kLanes; ++lane) {
        if (steps_inside >= kTaps && winner[lane] < kTaps) winner[lane] += kTaps;
        if (steps_inside % kTaps == 1 && winner[lane] % kTaps == 0) ++winner[lane];
      }
    }
    Lanes<Offset, kLanes> narrow;
    NEURONA_UNROLL
    for (int lane = 0; lane < kLanes; ++lane) narrow[lane] = static_cast<Offset>(winner[lane]);
    offsets[i] = narrow;
  }
}

// The offsets are known to point into the image.
template <typename Offset>
__global__ void indices_kernel(Pool2dGeometry<int64_t> geometry, Places places, Divisor by_columns,
                               int64_t count, const Offset* offsets, int64_t* indices) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place window = places[i];
    const Pool2dPixel<int64_t> pixel =
        pixel_of<int64_t>(geometry, window.row, window.column, offsets[i], by_columns);
    indices[i] = pixel.row * geometry.width.size + pixel.column;
  }
}

template <typename Offset>
__global__ void check_kernel(Pool2dGeometry<int64_t> geometry, Places places, Divisor by_columns,
                             int64_t count, const Offset* offsets, Position* wrong) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place window = places[i];
    if (!is_right<int64_t>(geometry, window.row, window.column, offsets[i], by_columns))
      note_wrong(wrong, i);
  }
}

template <Extremum kExtremum>
void forward(const char* name, const Pool2dShape& shape, const float* x, float* y, void* offsets) {
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_pointer_t<decltype(winners)>;
    with_even_lanes(shape.c, {x, y, offsets}, [&](auto lanes) {
      constexpr int kLanes = decltype(lanes)::value;
      const int64_t groups = shape.c / kLanes, count = shape.n * shape.p * shape.q * groups;
      with_index(largest_of(shape), [&]<typename Index>(Index) {
        const Pool2dGeometry<Index> geometry(shape);
        const auto& [height, width] = geometry;
        const auto run = [&](auto kernel) {
          launch(name, kernel, overlapping(over_elements(count)), geometry,
                 Places(shape.p, shape.q, groups), static_cast<Index>(count), as_lanes<kLanes>(x),
                 as_lanes<kLanes>(y), as_lanes<kLanes>(winners));
        };
        if constexpr (sizeof(Index) == sizeof(int32_t) && sizeof(Offset) == 1) {
          if (height.is_dense(3) && width.is_dense(3))
            return run(dense_kernel<kExtremum, Offset, 3, kLanes>);
          if (height.is_dense(2) && width.is_dense(2))
            return run(dense_kernel<kExtremum, Offset, 2, kLanes>);
        }
        run(select_kernel<kExtremum, Index, Offset, kLanes>);
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

void pool2d_indices(const Pool2dShape& shape, const void* offsets, int64_t* indices) {
  const int64_t count = shape.n * shape.p * shape.q * shape.c;
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_const_t<std::remove_pointer_t<decltype(winners)>>;
    launch("pool2d_indices", indices_kernel<Offset>, over_elements(count),
           Pool2dGeometry<int64_t>(shape), Places(shape.p, shape.q, shape.c),
           Divisor(shape.window.kernel[1]), count, winners, indices);
  });
}

void check_offsets(const char* op, const Pool2dShape& shape, const void* offsets) {
  const int64_t count = shape.n * shape.p * shape.q * shape.c;
  with_offsets(shape, offsets, [&](auto* winners) {
    using Offset = std::remove_const_t<std::remove_pointer_t<decltype(winners)>>;
    const FirstWrong wrong = wrong_offset(op, shape, winners);
    launch(op, check_kernel<Offset>, over_elements(count), Pool2dGeometry<int64_t>(shape),
           Places(shape.p, shape.q, shape.c), Divisor(shape.window.kernel[1]), count, winners,
           wrong.get());
    wrong.check();
  });
}

}  // namespace neurona
