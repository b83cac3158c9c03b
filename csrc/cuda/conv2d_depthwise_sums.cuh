// What becomes of the sums that threads have for the gradient of the filters of a depthwise
// convolution: a block adds those of its threads, and the last block of a tile of channels those of
// all slices of the pixels, both in double and in their order.
#pragma once

#include "cuda/conv2d_depthwise.cuh"
#include "cuda/common/last_block.cuh"

namespace neurona {

// Of a grid (tiles and groups of taps; slices).
struct FilterSums {
  ChannelTiles tiles;
  float *parts, *dw;  // parts (tile, group of taps; slice; tap; channel)
  unsigned* counters;
  int filter;  // taps of a filter

  __device__ int width(int of_thread) const { return tiles.lanes * of_thread; }
};

// The sums of a block's threads, by taps and threads, to `part`.
template <int kTaps, int kLanes>
__device__ inline void add_threads(const FilterSums& it, const Lanes<float, kLanes> (&own)[kTaps],
                                   Lanes<float, kLanes>* memory, float* part) {
  const int width = it.width(kLanes);
  NEURONA_UNROLL
  for (int tap = 0; tap < kTaps; ++tap) memory[tap * kBlock + threadIdx.x] = own[tap];
  __syncthreads();
  const float* const sums = reinterpret_cast<const float*>(memory);
  for (int i = threadIdx.x; i < kTaps * width; i += kBlock) {
    const int tap = i / width;
    const float* of_thread = sums + tap * kBlock * kLanes + (i - tap * width);
    double sum = 0;
    for (int thread = 0; thread < it.tiles.across; ++thread) sum += of_thread[thread * width];
    part[i] = static_cast<float>(sum);
  }
}

// What is `items` long, of slices `items` apart: every `step`-th from `slice` on. Many are under
// way at once, since each round takes as long as the way to L2.
template <int kLanes>
__device__ inline Lanes<double, kLanes> sum_of_slices(const Lanes<float, kLanes>* parts, int slice,
                                                      int slices, int step, int items) {
  constexpr int kTogether = 16;
  Lanes<double, kLanes> sum{};
  for (; slice < slices; slice += kTogether * step) {
    Lanes<float, kLanes> held[kTogether];
    NEURONA_UNROLL
    for (int i = 0; i < kTogether; ++i) {
      const int at = slice + i * step;
      held[i] = {};
      if (at < slices) held[i] = parts[int64_t{at} * items];
    }
    NEURONA_UNROLL
    for (int i = 0; i < kTogether; ++i) {
      NEURONA_UNROLL
      for (int lane = 0; lane < kLanes; ++lane) sum[lane] += held[i][lane];
    }
  }
  return sum;
}

// The sums of all slices, from first_tap on, by the last block. Threads share the slices of few
// sums.
template <int kTaps, int kLanes>
__device__ inline void add_slices(const FilterSums& it, const Lanes<float, kLanes>* parts,
                                  int slices, int first_channel, int first_tap,
                                  Lanes<double, kLanes>* memory) {
  const int items = kTaps * it.tiles.lanes, shares = max(1, kBlock / items),
            width = it.width(kLanes);
  for (int i = threadIdx.x; i < items * shares; i += kBlock) {
    const int share = i / items, item = i - share * items;
    memory[i] = sum_of_slices(parts + item, share, slices, shares, items);
  }
  __syncthreads();
  const double* const sums = reinterpret_cast<const double*>(memory);
  for (int i = threadIdx.x; i < kTaps * width; i += kBlock) {
    double sum = sums[i];
    for (int share = 1; share < shares; ++share) sum += sums[share * kTaps * width + i];
    const int of_group = i / width, channel = first_channel + i - of_group * width,
              tap = first_tap + of_group;
    if (channel < it.tiles.channels && tap < it.filter)
      it.dw[int64_t{channel} * it.filter + tap] = static_cast<float>(sum);
  }
}

template <int kTaps, int kLanes>
__device__ inline void store_sums(const FilterSums& it, const Lanes<float, kLanes> (&own)[kTaps],
                                  int first_channel, int first_tap) {
  NEURONA_DYNAMIC_SHARED(float4, memory);
  const int slices = static_cast<int>(gridDim.y), sums_of_block = kTaps * it.width(kLanes);
  float* const parts = it.parts + int64_t{blockIdx.x} * slices * sums_of_block;
  add_threads(it, own, reinterpret_cast<Lanes<float, kLanes>*>(memory),
              parts + int64_t{blockIdx.y} * sums_of_block);
  if (!is_last_block(it.counters + blockIdx.x, gridDim.y)) return;
  add_slices<kTaps>(it, as_lanes<kLanes>(parts), slices, first_channel, first_tap,
                    reinterpret_cast<Lanes<double, kLanes>*>(memory));
}

}  // namespace neurona
