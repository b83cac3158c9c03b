// What the files of conv2d_depthwise have in common: which thread has which channels.
#pragma once

#include <algorithm>

#include "core/conv2d_shape.h"
#include "cuda/device.h"
#include "cuda/common/divisor.cuh"
#include "cuda/common/lanes.cuh"
#include "cuda/common/places.cuh"

namespace neurona {

// 128 bytes of a pixel: a line of the caches. The narrower a tile, the more of an image's row a
// block has, whose threads read their neighbours' pixels too, and the fewer blocks share a filter.
constexpr int kTileChannels = 32;

// Threads of 128 registers, of which a multiprocessor holds 512: they keep 24 to 48 KiB under way,
// and an H200's memory brings 32 KiB in a microsecond. For sm_120, whose memory is slower, the
// compiler takes more registers.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1200
constexpr int kWalkers = 256;
#else
constexpr int kWalkers = 512;
#endif

// Of a block's threads, `lanes` side by side have the channels of a tile, a few each; the next ones
// have other pixels of the same channels. If channels are fewer than a tile or no multiple of one,
// tiles are as wide as each other.
struct ChannelTiles {
  int channels, tiles, lanes, across;  // `across` times `lanes` threads of a block have work
  Divisor by_tiles, by_lanes;

  ChannelTiles() = default;
  ChannelTiles(int64_t channel_count, int of_thread, int threads)
      : channels(static_cast<int>(channel_count)) {
    const int64_t groups = divide_up(channel_count, of_thread);
    tiles = static_cast<int>(divide_up(groups, kTileChannels / of_thread));
    lanes = static_cast<int>(divide_up(groups, tiles));
    across = threads / lanes;
    by_tiles = Divisor(tiles);
    by_lanes = Divisor(lanes);
  }
};

// A thread's channels begin with `channel`; the `number`-th of those that have them.
struct ChannelPlace {
  int first_channel, channel, number;
  bool has_work;
};

template <int kLanes>
__device__ inline ChannelPlace place_in(const ChannelTiles& it, int tile) {
  const auto [number, lane] = divide(static_cast<int>(threadIdx.x), it.by_lanes);
  const int first = tile * it.lanes * kLanes, channel = first + lane * kLanes;
  return {first, channel, number, number < it.across && channel < it.channels};
}

template <int kLanes>
__device__ inline void add_product(const Lanes<float, kLanes>& a, const Lanes<float, kLanes>& b,
                                   Lanes<float, kLanes>& sum) {
  NEURONA_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) sum[lane] = fmaf(a[lane], b[lane], sum[lane]);
}

// kCount pixels side by side, `channels` apart, of which those are read whose bit is set; what lies
// beside the image is 0.
template <int kLanes, int kCount>
__device__ inline void read_pixels(const float* first, int channels, unsigned inside,
                                   Lanes<float, kLanes> (&pixels)[kCount]) {
  NEURONA_UNROLL
  for (int i = 0; i < kCount; ++i) {
    pixels[i] = {};
    if (inside >> i & 1) pixels[i] = *as_lanes<kLanes>(first + i * channels);
  }
}

// The bits of those of kCount positions from `first` on that lie in an axis.
template <int kCount>
__device__ inline unsigned bits_inside(int first, int size) {
  unsigned bits = 0;
  NEURONA_UNROLL
  for (int i = 0; i < kCount; ++i)
    bits |= static_cast<unsigned>(first + i >= 0 && first + i < size) << i;
  return bits;
}

// How the walks down an image are cut. A thread has a strip of its columns and the steps of a band,
// one below the other.
struct Bands {
  int steps, strips, bands, steps_of_band, items;  // an item is a strip of a band of an image
  Divisor by_strips, by_bands;
};

// A band's rows above it are read twice, and it takes a while until the first ones have come: both
// are steps that a band has more. Of all cuts the one whose longest sequence of items is shortest,
// if `at_once` blocks run at once with `across` items of each of the tiles.
inline Bands bands_of(int64_t images, int64_t steps, int64_t strips, const ChannelTiles& tiles,
                      int64_t more_steps, int64_t at_once) {
  constexpr int64_t kMostBands = 64;
  int64_t best = 1, least = INT64_MAX;
  for (int64_t bands = 1; bands <= std::min(steps, kMostBands); ++bands) {
    const int64_t blocks = divide_up(images * bands * strips, tiles.across) * tiles.tiles,
                  cost = divide_up(blocks, at_once) * (divide_up(steps, bands) + more_steps);
    if (cost < least) best = bands, least = cost;
  }
  const int64_t of_band = divide_up(steps, best), bands = divide_up(steps, of_band);
  return {static_cast<int>(steps),
          static_cast<int>(strips),
          static_cast<int>(bands),
          static_cast<int>(of_band),
          static_cast<int>(images * bands * strips),
          Divisor(strips),
          Divisor(bands)};
}

struct BandPlace {
  int image, first, end, strip;  // steps
};

__device__ inline BandPlace place_in(const Bands& it, int item) {
  const auto [line, strip] = divide(item, it.by_strips);
  const auto [image, band] = divide(line, it.by_bands);
  const int first = band * it.steps_of_band;
  return {image, first, min(first + it.steps_of_band, it.steps), strip};
}

// Filters that are square, with equal strides and nothing between their taps, and images whose
// places have 32 bits, with what a walk sees around them: those that kernels walk down.
inline bool are_walked(const Conv2dShape& shape) {
  constexpr double kMostPlaces = 0x3fffffff;
  constexpr int kBeyond = 8;
  const auto padded = [](int64_t size, int64_t padding) {
    return static_cast<double>(size) + 2.0 * static_cast<double>(padding) + kBeyond;
  };
  const double places = padded(shape.h, shape.padding[0]) * padded(shape.w, shape.padding[1]);
  return shape.r == shape.s && (shape.r == 3 || shape.r == 5 || shape.r == 7) &&
         shape.stride[0] == shape.stride[1] && shape.stride[0] <= 2 &&
         shape.dilation[0] * shape.dilation[1] == 1 &&
         places * static_cast<double>(shape.c) <= kMostPlaces &&
         places * static_cast<double>(shape.n) <= kMostPlaces;
}

// What with_index goes by: the elements of all arrays, and places beside the images, which no
// filter is longer than with their padding.
inline int64_t largest_place(const Conv2dShape& shape) {
  return std::max({shape.n * shape.h * shape.w * shape.c, shape.n * shape.p * shape.q * shape.c,
                   shape.weight_size(), shape.h + 2 * shape.padding[0],
                   shape.w + 2 * shape.padding[1], shape.p * shape.stride[0],
                   shape.q * shape.stride[1]});
}

// Calls body(taps, stride, lanes), constants all of them. Of 5 x 5 taps a thread has two channels,
// of 7 x 7 one: their filters take 50 registers.
template <typename Body>
void with_walk(const Conv2dShape& shape, std::initializer_list<const void*> arrays,
               const Body& body) {
  const auto with_stride = [&](auto taps, auto lanes) {
    if (shape.stride[0] == 1)
      body(taps, std::integral_constant<int, 1>{}, lanes);
    else
      body(taps, std::integral_constant<int, 2>{}, lanes);
  };
  if (shape.r == 7)
    with_stride(std::integral_constant<int, 7>{}, std::integral_constant<int, 1>{});
  else if (shape.r == 3)
    with_lanes(shape.c, arrays,
               [&](auto lanes) { with_stride(std::integral_constant<int, 3>{}, lanes); });
  else if (shape.c % 2 == 0 && are_aligned(arrays))
    with_stride(std::integral_constant<int, 5>{}, std::integral_constant<int, 2>{});
  else
    with_stride(std::integral_constant<int, 5>{}, std::integral_constant<int, 1>{});
}

}  // namespace neurona
