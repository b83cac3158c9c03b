// Bed of nails and max unpooling. Each element of an enlarged map fetches its value, or is 0.
//
// Of several values for one place the last one is to stay, whatever the order of the threads: they
// first agree by atomicMax on the largest source pixel of each place.
#include "ops/unpool2d.h"

#include <limits>

#include "cuda/common/flag.cuh"
#include "cuda/common/lanes.cuh"
#include "cuda/common/places.cuh"

namespace neurona {
namespace {

__device__ inline bool is_inside(int64_t place, int64_t places) {
  return static_cast<uint64_t>(place) < static_cast<uint64_t>(places);
}

// y is seen as (images H, kh, W, kw groups), where nails have a row of 0 and a group of x's.
template <int kLanes>
__global__ void nails_kernel(Places places, int64_t count, int64_t columns, int64_t groups,
                             const Lanes<float, kLanes>* x, Lanes<float, kLanes>* y) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place place = places[i];
    Lanes<float, kLanes> value{};
    if (place.row == 0 && place.group < groups)
      value = x[(place.image * columns + place.column) * groups + place.group];
    y[i] = value;
  }
}

// winners[n, indices[n, i, c], c] = the largest such i.
template <typename Pixel>
__global__ void claim_kernel(Places sources, int64_t count, int64_t places, const int64_t* indices,
                             Pixel* winners, int* outside) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place source = sources[i];
    if (is_inside(indices[i], places))
      atomicMax(&winners[(source.image * places + indices[i]) * sources.groups() + source.group],
                static_cast<Pixel>(source.column));
    else
      raise(outside);
  }
}

template <typename Pixel>
__global__ void fetch_kernel(Places targets, int64_t count, int64_t pixels, const float* x,
                             const Pixel* winners, float* y) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place target = targets[i];
    const int64_t pixel = winners[i];
    y[i] = pixel < 0 ? 0.0f : x[(target.image * pixels + pixel) * targets.groups() + target.group];
  }
}

__global__ void backward_kernel(Places sources, int64_t count, int64_t places, const float* dy,
                                const int64_t* indices, float* dx, int* outside) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place source = sources[i];
    const bool inside = is_inside(indices[i], places);
    dx[i] =
        inside ? dy[(source.image * places + indices[i]) * sources.groups() + source.group] : 0.0f;
    if (!inside) raise(outside);
  }
}

template <typename Pixel>
void unpool(const UnpoolShape& shape, const float* x, const int64_t* indices, float* y,
            int* outside) {
  const int64_t pixels = shape.pixels(), places = shape.places(), channels = shape.channels,
                sources = shape.images * pixels * channels,
                targets = shape.images * places * channels;
  const size_t bytes = static_cast<size_t>(targets) * sizeof(Pixel);
  const Workspace winners(bytes);
  fill_on_device(winners.as<Pixel>(), 0xff, bytes);  // -1: no source
  launch("max_unpool2d_claim", claim_kernel<Pixel>, over_elements(sources),
         Places(1, pixels, channels), sources, places, indices, winners.as<Pixel>(), outside);
  launch("max_unpool2d_fetch", fetch_kernel<Pixel>, over_elements(targets),
         Places(1, places, channels), targets, pixels, x, winners.as<Pixel>(), y);
}

__global__ void range_kernel(const int64_t* indices, int64_t count, long long* range) {
  long long smallest = indices[0], largest = indices[0];
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    smallest = min(smallest, static_cast<long long>(indices[i]));
    largest = max(largest, static_cast<long long>(indices[i]));
  }
  atomicMin(&range[0], smallest);
  atomicMax(&range[1], largest);
}

}  // namespace

void bed_of_nails_forward(int64_t images, const std::array<int64_t, 2>& size, int64_t channels,
                          const std::array<int64_t, 2>& block, const float* x, float* y) {
  with_lanes(channels, {x, y}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = channels / kLanes, line = size[1] * block[1] * groups,
                  count = images * size[0] * block[0] * line;
    launch("bed_of_nails_forward", nails_kernel<kLanes>, over_elements(count),
           Places(block[0], size[1], block[1] * groups), count, size[1], groups,
           as_lanes<kLanes>(x), as_lanes<kLanes>(y));
  });
}

bool max_unpool2d_forward(const UnpoolShape& shape, const float* x, const int64_t* indices,
                          float* y) {
  const Flag outside;
  if (shape.pixels() <= std::numeric_limits<int>::max())
    unpool<int>(shape, x, indices, y, outside.get());
  else
    unpool<long long>(shape, x, indices, y, outside.get());
  return !outside.is_raised();
}

bool max_unpool2d_backward(const UnpoolShape& shape, const float* dy, const int64_t* indices,
                           float* dx) {
  const Flag outside;
  const int64_t count = shape.images * shape.pixels() * shape.channels;
  launch("max_unpool2d_backward", backward_kernel, over_elements(count),
         Places(1, shape.pixels(), shape.channels), count, shape.places(), dy, indices, dx,
         outside.get());
  return !outside.is_raised();
}

IndexRange index_range(const int64_t* indices, int64_t count) {
  using Limits = std::numeric_limits<long long>;
  const long long none[2] = {Limits::max(), Limits::min()};
  const Workspace range(sizeof none);
  copy_to_device(range.as<long long>(), none, sizeof none);
  launch("index_range", range_kernel, over_elements(count), indices, count, range.as<long long>());
  return {read_back(range.as<long long>()), read_back(range.as<long long>() + 1)};
}

}  // namespace neurona
