// Average pooling of channels-last images, a thread for each element of what is written:
//
//   y[p, q] = sum over the window's pixels inside the image / divisor
//   dx[h, w] = sum of dy[p, q] / divisor over the windows that hold (h, w)
//
// Windows are intervals of rows and of columns, and so are the windows over a pixel; a divisor is
// the product of one for the rows and one for the columns. Sums are taken row by row and then added
// up, which halves the exponent of the rounding error's growth.
#include "ops/avg_pool2d.h"

#include <algorithm>

#include "cuda/common/lanes.cuh"
#include "cuda/common/places.cuh"

namespace neurona {
namespace {

template <typename Index>
struct Span {
  Index begin, end;
};

template <typename I>
struct AverageAxis {
  using Index = I;
  Index size, windows, taps, stride, padding;
  Divisor by_stride;
  bool counts_padding;
  float override;       // 0: none
  float share_of_each;  // 1 / divisor where that is the same for all windows; else 0

  // Pixels of the image that a window takes.
  __device__ Span<Index> pixels(Index window) const {
    const Index start = window * stride - padding;
    return {max(start, Index{0}), min(start + taps, size)};
  }
  __device__ float divisor(Index window) const {
    if (override != 0) return override;
    const Span<Index> inside = pixels(window);
    if (!counts_padding) return static_cast<float>(inside.end - inside.begin);
    const Index start = window * stride - padding;
    return static_cast<float>(min(start + taps, size + padding) - start);
  }
  __device__ float share(Index window) const {
    return share_of_each != 0 ? share_of_each : 1.0f / divisor(window);
  }
  // Windows that take a pixel.
  __device__ Span<Index> windows_over(Index pixel) const {
    const Index missing = pixel + padding - (taps - 1);
    return {missing > 0 ? by_stride.quotient(missing + stride - 1) : 0,
            min(windows, by_stride.quotient(pixel + padding) + 1)};
  }
  // Of a window whose pixels lie in no other and, with those up to the next window, are few: a
  // cell.
  bool has_cells() const { return stride >= taps && stride <= 4; }
  int64_t cells() const { return divide_up(int64_t{size} + padding, stride); }
};

// An override is put on the height. One window has no stride: 1 stands for any, however large.
template <typename Index>
AverageAxis<Index> average_axis(const Pool2dShape& shape, const AverageDivisor& divisor, int axis) {
  const auto& window = shape.window;
  const int64_t windows = axis == 0 ? shape.p : shape.q,
                stride = windows > 1 ? window.stride[axis] : 1,
                override = divisor.override && axis == 1 ? 1 : divisor.override,
                size = axis == 0 ? shape.h : shape.w, taps = window.kernel[axis],
                padding = window.padding[axis];
  // Whether every window has all its taps in the image, or in the padding if that counts.
  const bool all_whole = (windows - 1) * stride + taps <= size + 2 * padding &&
                         (padding == 0 || divisor.count_include_pad);
  const int64_t of_each = override != 0 ? override : all_whole ? taps : 0;
  return {static_cast<Index>(size),
          static_cast<Index>(windows),
          static_cast<Index>(taps),
          static_cast<Index>(stride),
          static_cast<Index>(padding),
          Divisor(stride),
          divisor.count_include_pad,
          static_cast<float>(override),
          of_each != 0 ? 1.0f / static_cast<float>(of_each) : 0.0f};
}

// Window p takes floor(p size / windows) .. ceil((p + 1) size / windows) - 1; seen from a pixel,
// windows and size change places.
template <typename I>
struct AdaptiveAxis {
  using Index = I;
  Index size, windows;
  Divisor by_size, by_windows;
  float share_of_each;  // 1 / divisor where that is the same for all windows; else 0

  __device__ Span<Index> pixels(Index window) const {
    return {by_windows.quotient(window * size),
            by_windows.quotient((window + 1) * size + windows - 1)};
  }
  __device__ float divisor(Index window) const {
    const Span<Index> inside = pixels(window);
    return static_cast<float>(inside.end - inside.begin);
  }
  __device__ float share(Index window) const {
    return share_of_each != 0 ? share_of_each : 1.0f / divisor(window);
  }
  __device__ Span<Index> windows_over(Index pixel) const {
    if (windows == 1) return {0, 1};
    return {by_size.quotient(pixel * windows), by_size.quotient((pixel + 1) * windows + size - 1)};
  }
};

template <typename Index>
AdaptiveAxis<Index> adaptive_axis(int64_t size, int64_t windows) {
  return {static_cast<Index>(size), static_cast<Index>(windows), Divisor(size), Divisor(windows),
          size % windows == 0 ? 1.0f / static_cast<float>(size / windows) : 0.0f};
}

// What with_index goes by: the elements of both arrays, and what an axis computes.
int64_t most_elements(const Pool2dShape& shape) {
  return shape.n * shape.c * std::max(shape.h * shape.w, shape.p * shape.q);
}
int64_t largest_of_averages(const Pool2dShape& shape) {
  const auto& padding = shape.window.padding;
  return std::max({most_elements(shape), shape.h, shape.w, padding[0], padding[1]});
}
int64_t largest_of_adaptive(const Pool2dShape& shape) {
  return std::max(
      {most_elements(shape), (shape.h + 1) * (shape.p + 1), (shape.w + 1) * (shape.q + 1)});
}

template <typename Axis, int kLanes>
__global__ void forward_kernel(Axis height, Axis width, Places places, typename Axis::Index count,
                               const Lanes<float, kLanes>* x, Lanes<float, kLanes>* y) {
  wait_for_earlier_kernels();
  using Index = typename Axis::Index;
  const auto groups = static_cast<Index>(places.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = places[i];
    const Span<Index> rows = height.pixels(place.row), columns = width.pixels(place.column);
    Lanes<float, kLanes> total{};
    for (Index h = rows.begin; h < rows.end; ++h) {
      const Index line = (place.image * height.size + h) * width.size;
      Lanes<float, kLanes> sum{};
      for (Index w = columns.begin; w < columns.end; ++w) {
        const Lanes<float, kLanes> value = x[(line + w) * groups + place.group];
        for (int lane = 0; lane < kLanes; ++lane) sum[lane] += value[lane];
      }
      for (int lane = 0; lane < kLanes; ++lane) total[lane] += sum[lane];
    }
    const float divisor = height.divisor(place.row) * width.divisor(place.column);
    for (int lane = 0; lane < kLanes; ++lane) total[lane] /= divisor;
    y[i] = total;
  }
}

template <typename Axis, int kLanes>
__global__ void backward_kernel(Axis height, Axis width, Places places, typename Axis::Index count,
                                const Lanes<float, kLanes>* dy, Lanes<float, kLanes>* dx) {
  wait_for_earlier_kernels();
  using Index = typename Axis::Index;
  const auto groups = static_cast<Index>(places.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = places[i];
    const Span<Index> rows = height.windows_over(place.row),
                      columns = width.windows_over(place.column);
    Lanes<float, kLanes> total{};
    for (Index p = rows.begin; p < rows.end; ++p) {
      const Index line = (place.image * height.windows + p) * width.windows;
      Lanes<float, kLanes> sum{};
      for (Index q = columns.begin; q < columns.end; ++q) {
        const Lanes<float, kLanes> value = dy[(line + q) * groups + place.group];
        const float share = width.share(q);
        for (int lane = 0; lane < kLanes; ++lane) sum[lane] = fmaf(share, value[lane], sum[lane]);
      }
      const float share = height.share(p);
      for (int lane = 0; lane < kLanes; ++lane) total[lane] = fmaf(share, sum[lane], total[lane]);
    }
    dx[i] = total;
  }
}

// The same where no pixel lies in two windows: a thread has a window with all pixels up to the next
// one, so that dy is read once. Pixels of no window are in cells without one.
template <typename Index, int kLanes>
__global__ void cells_kernel(AverageAxis<Index> height, AverageAxis<Index> width, Places cells,
                             Index count, const Lanes<float, kLanes>* dy,
                             Lanes<float, kLanes>* dx) {
  wait_for_earlier_kernels();
  const auto groups = static_cast<Index>(cells.groups()),
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = cells[i];
    const Index p = place.row, q = place.column;
    Lanes<float, kLanes> gradient{};
    if (p < height.windows && q < width.windows) {
      const Index line = (place.image * height.windows + p) * width.windows;
      gradient = dy[(line + q) * groups + place.group];
      const float of_column = width.share(q), of_row = height.share(p);
      for (int lane = 0; lane < kLanes; ++lane)
        gradient[lane] = of_row * (of_column * gradient[lane]);
    }
    for (Index r = 0, h = p * height.stride - height.padding; r < height.stride; ++r, ++h) {
      if (h < 0 || h >= height.size) continue;
      const Index line = (place.image * height.size + h) * width.size;
      for (Index s = 0, w = q * width.stride - width.padding; s < width.stride; ++s, ++w) {
        if (w < 0 || w >= width.size) continue;
        const bool is_tap = r < height.taps && s < width.taps;
        dx[(line + w) * groups + place.group] = is_tap ? gradient : Lanes<float, kLanes>{};
      }
    }
  }
}

template <typename Axis>
void forward(const char* name, const Pool2dShape& shape, const Axis& height, const Axis& width,
             const float* x, float* y) {
  with_lanes(shape.c, {x, y}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = shape.c / kLanes, count = shape.n * shape.p * shape.q * groups;
    launch(name, forward_kernel<Axis, kLanes>, overlapping(over_elements(count)), height, width,
           Places(shape.p, shape.q, groups), static_cast<typename Axis::Index>(count),
           as_lanes<kLanes>(x), as_lanes<kLanes>(y));
  });
}

template <typename Axis>
void backward(const char* name, const Pool2dShape& shape, const Axis& height, const Axis& width,
              const float* dy, float* dx) {
  with_lanes(shape.c, {dy, dx}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = shape.c / kLanes, count = shape.n * shape.h * shape.w * groups;
    launch(name, backward_kernel<Axis, kLanes>, overlapping(over_elements(count)), height, width,
           Places(shape.h, shape.w, groups), static_cast<typename Axis::Index>(count),
           as_lanes<kLanes>(dy), as_lanes<kLanes>(dx));
  });
}

}  // namespace

void avg_pool2d_forward(const Pool2dShape& shape, const AverageDivisor& divisor, const float* x,
                        float* y) {
  with_index(largest_of_averages(shape), [&]<typename Index>(Index) {
    forward("avg_pool2d_forward", shape, average_axis<Index>(shape, divisor, 0),
            average_axis<Index>(shape, divisor, 1), x, y);
  });
}

void avg_pool2d_backward(const Pool2dShape& shape, const AverageDivisor& divisor, const float* dy,
                         float* dx) {
  with_index(largest_of_averages(shape), [&]<typename Index>(Index) {
    const auto height = average_axis<Index>(shape, divisor, 0),
               width = average_axis<Index>(shape, divisor, 1);
    if (!height.has_cells() || !width.has_cells())
      return backward("avg_pool2d_backward", shape, height, width, dy, dx);
    with_lanes(shape.c, {dy, dx}, [&](auto lanes) {
      constexpr int kLanes = decltype(lanes)::value;
      const int64_t groups = shape.c / kLanes,
                    count = shape.n * height.cells() * width.cells() * groups;
      launch("avg_pool2d_backward", cells_kernel<Index, kLanes>, overlapping(over_elements(count)),
             height, width, Places(height.cells(), width.cells(), groups),
             static_cast<Index>(count), as_lanes<kLanes>(dy), as_lanes<kLanes>(dx));
    });
  });
}

void adaptive_avg_pool2d_forward(const Pool2dShape& shape, const float* x, float* y) {
  with_index(largest_of_adaptive(shape), [&]<typename Index>(Index) {
    forward("adaptive_avg_pool2d_forward", shape, adaptive_axis<Index>(shape.h, shape.p),
            adaptive_axis<Index>(shape.w, shape.q), x, y);
  });
}

void adaptive_avg_pool2d_backward(const Pool2dShape& shape, const float* dy, float* dx) {
  with_index(largest_of_adaptive(shape), [&]<typename Index>(Index) {
    backward("adaptive_avg_pool2d_backward", shape, adaptive_axis<Index>(shape.h, shape.p),
             adaptive_axis<Index>(shape.w, shape.q), dy, dx);
  });
}

}  // namespace neurona
