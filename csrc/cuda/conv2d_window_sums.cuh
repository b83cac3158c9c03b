// Sums over windows that slide along a row: what a block of conv2d_windows.cu does.
//
// A block brings a band of an image's rows to shared memory, with what lies around it as zeros and
// each channel as a plane, and the filters. A thread has 4 pixels side by side and 4, 6 or 8
// outputs. Of a channel and a row of the filters it reads 4 + S - 1 elements, which its pixels
// share, and S weights for each output: with 5 columns and 8 outputs 12 loads of four floats for
// 160 multiplications, and nothing is computed of places in between. Small images, of which a block
// would have too few threads, are shared by groups of threads, each with its own part of the
// channels and rows, whose sums are added in the groups' order.
#pragma once

#include <optional>

#include "cuda/conv2d_windows.cuh"
#include "cuda/common/divisor.cuh"
#include "cuda/product/epilogue.cuh"
#include "cuda/product/slices.cuh"

namespace neurona {

constexpr int kWindow = 2 * kRunPixels;  // what is read of a row: the last ones see up to 4 more

// Outputs that leave together.
template <int kOutputs>
constexpr int kTogether = kOutputs == 6 ? 2 : 4;

struct Windows {
  const float *image, *weight;
  int channels, height, width;  // of what is read
  int outputs, rows, columns;   // of what is written
  int taps_down, padding_h, padding_w;
  bool is_turned;  // weight (channels, outputs, R, S), its last tap first

  // Positions are runs of kRunPixels in a band; a block is (groups, tiles of outputs, positions).
  int runs, rows_of_band, bands, positions, tiles, groups;
  int pitch, plane;  // of the image in shared memory
  int across, down;  // threads that bring a row of it, and rows at once
  Divisor by_bands, by_run, by_channels, by_filter_rows, by_taps_down, by_across, by_positions,
      by_tiles;

  __host__ __device__ int steps() const { return channels * taps_down; }  // (channel, row)
  __host__ __device__ int rows_read() const { return rows_of_band + taps_down - 1; }
};

// The rows that a band sees, from (row, column, channel) to (channel, row, column). A thread has
// the same columns and channels of many rows, so that it computes their places once.
template <int kChannels>
__device__ inline void bring_image(const Windows& it, int n, int first_row, float* to) {
  constexpr int kLoads = 4;  // under way at once
  const int h0 = first_row - it.padding_h, in_row = it.pitch * (it.channels / kChannels),
            line = it.width * it.channels;
  const auto [own_row, first_in_row] = divide(static_cast<int>(threadIdx.x), it.by_across);
  if (own_row >= it.down) return;
  const float* const image = it.image + int64_t{n} * it.height * line;
  for (int i = first_in_row; i < in_row; i += it.across) {
    const auto place = divide(i, it.by_channels);
    const int channel = kChannels * place.remainder, w = place.quotient - it.padding_w;
    const unsigned rows_inside = w >= 0 && w < it.width ? it.height : 0;
    float* const plane = to + channel * it.plane + place.quotient;
    for (int first = own_row; first < it.rows_read(); first += kLoads * it.down) {
      float values[kLoads][kChannels] = {};
      NEURONA_UNROLL
      for (int j = 0; j < kLoads; ++j) {
        const int h = h0 + first + j * it.down;
        if (static_cast<unsigned>(h) < rows_inside)
          read_wide<kChannels>(image + h * line + w * it.channels + channel, values[j]);
      }
      NEURONA_UNROLL
      for (int j = 0; j < kLoads; ++j) {
        const int row = first + j * it.down;
        if (row >= it.rows_read()) break;
        NEURONA_UNROLL
        for (int c = 0; c < kChannels; ++c) plane[c * it.plane + row * it.pitch] = values[j][c];
      }
    }
  }
}

// All filters, a row of one at a time, to (tile, channel, row, column, output). What a tile has
// beyond the last output is left as it is: sums of it go nowhere.
template <int kTaps, int kOutputs>
__device__ inline void bring_filters(const Windows& it, float* to) {
  constexpr int kTap = padded(kOutputs);
  const int count = it.outputs * it.steps(), of_tile = it.steps() * kTaps * kTap;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    const auto filter = divide(i, it.by_filter_rows);
    const auto inner = divide(filter.remainder, it.by_taps_down);
    const int output = it.is_turned ? inner.quotient : filter.quotient,
              channel = it.is_turned ? filter.quotient : inner.quotient,
              row = it.is_turned ? it.taps_down - 1 - inner.remainder : inner.remainder;
    const float* from = it.weight + i * kTaps;
    float* const place = to + output / kOutputs * of_tile +
                         (channel * it.taps_down + row) * kTaps * kTap + output % kOutputs;
    NEURONA_UNROLL
    for (int s = 0; s < kTaps; ++s) place[s * kTap] = from[it.is_turned ? kTaps - 1 - s : s];
  }
}

// One row of one channel, whose window lies at `image`, and its weights.
template <int kTaps, int kOutputs>
__device__ inline void multiply(const float* image, const float* weights,
                                float (&sums)[kRunPixels][kOutputs]) {
  float window[kWindow];
  read_wide(image, window);
  NEURONA_UNROLL
  for (int s = 0; s < kTaps; ++s) {
    float weight[kOutputs];
    read_wide(weights + s * padded(kOutputs), weight);
    NEURONA_UNROLL
    for (int i = 0; i < kRunPixels; ++i) {
      NEURONA_UNROLL
      for (int j = 0; j < kOutputs; ++j) sums[i][j] = fmaf(window[i + s], weight[j], sums[i][j]);
    }
  }
}

// Where a thread's sums go: its tile of outputs of `inside` pixels from `pixel` on.
struct Place {
  int64_t pixel;
  int inside, first_output;
};

// All outputs of a thread's pixels, which lie side by side, four at a time: those of 6 outputs
// would leave in pairs, each of which takes as long.
template <int kOutputs>
__device__ inline void store_side_by_side(const BiasedRows& target, float* to,
                                          const float (&sums)[kRunPixels][kOutputs]) {
  const auto columns = target.columns<kOutputs>(0, 0, kOutputs);
  NEURONA_UNROLL
  for (int i = 0; i < kRunPixels * kOutputs; i += 4) {
    Run<4> run;
    NEURONA_UNROLL
    for (int j = 0; j < 4; ++j)
      run.at[j] = target.value_of(sums[(i + j) / kOutputs][(i + j) % kOutputs],
                                  columns.bias[(i + j) % kOutputs]);
    store_together(to + i, run);
  }
}

// kCount pixels of them, from the first-th on.
template <int kOutputs, int kCount>
__device__ inline void store_pixels(const Windows& it, const BiasedRows& target, const Place& place,
                                    int first, const float (&sums)[kCount][kOutputs]) {
  constexpr int kRun = kTogether<kOutputs>;
  if constexpr (kCount == kRunPixels && kRun < 4) {
    float* const to = target.row(0, place.pixel);
    if (it.outputs == kOutputs && place.inside == kRunPixels &&
        reinterpret_cast<uintptr_t>(to) % sizeof(float4) == 0)
      return store_side_by_side(target, to, sums);
  }
  store_runs<kRun, kCount, kOutputs / kRun>(
      target, 0, {place.pixel + place.inside, it.outputs, 0, 1},
      [&](int i) { return place.pixel + first + i; },
      [&](int j) { return place.first_output + j * kRun; },
      [&](int i, int j) {
        Run<kRun> run;
        NEURONA_UNROLL
        for (int of_run = 0; of_run < kRun; ++of_run) run.at[of_run] = sums[i][j * kRun + of_run];
        return run;
      });
}

// What the groups have for each pixel, added in their order: memory [output][pixel][thread]. Of a
// thread's pixels each group stores its share.
template <int kOutputs>
__device__ inline void store_groups(const Windows& it, const BiasedRows& target, const Place& place,
                                    int group, const float (&sums)[kRunPixels][kOutputs],
                                    float* memory) {
  const int of_group = it.positions * it.tiles,
            in_group = static_cast<int>(threadIdx.x) - group * of_group;
  __syncthreads();
  NEURONA_UNROLL
  for (int i = 0; i < kRunPixels; ++i) {
    NEURONA_UNROLL
    for (int j = 0; j < kOutputs; ++j)
      memory[(j * kRunPixels + i) * kMostWindowThreads + static_cast<int>(threadIdx.x)] =
          sums[i][j];
  }
  __syncthreads();
  for (int i = group; i < place.inside; i += it.groups) {
    float total[1][kOutputs];
    const float* part = memory + i * kMostWindowThreads + in_group;
    NEURONA_UNROLL
    for (int j = 0; j < kOutputs; ++j) total[0][j] = part[j * kRunPixels * kMostWindowThreads];
    for (int other = 1; other < it.groups; ++other) {
      part += of_group;
      NEURONA_UNROLL
      for (int j = 0; j < kOutputs; ++j) total[0][j] += part[j * kRunPixels * kMostWindowThreads];
    }
    store_pixels(it, target, place, i, total);
  }
}

// What the block of this number does. It waits for earlier kernels itself.
template <int kTaps, int kOutputs>
__device__ inline void sum_windows(const Windows& it, const BiasedRows& target, int number,
                                   float* image) {
  float* const filters = image + it.channels * it.plane;
  const auto [n, band] = divide(number, it.by_bands);
  const int first_row = band * it.rows_of_band;
  const auto [outer, position] = divide(static_cast<int>(threadIdx.x), it.by_positions);
  const auto [group, tile] = divide(outer, it.by_tiles);
  const auto place = divide(position, it.by_run);
  wait_for_earlier_kernels();
  if (it.by_channels.divisor == it.channels)
    bring_image<1>(it, n, first_row, image);
  else
    bring_image<4>(it, n, first_row, image);
  bring_filters<kTaps, kOutputs>(it, filters);
  __syncthreads();

  const bool has_pixels =
      group < it.groups && place.quotient < it.rows_of_band && first_row + place.quotient < it.rows;
  float sums[kRunPixels][kOutputs] = {};
  if (has_pixels) {
    const int steps = it.steps(), steps_of_group = (steps + it.groups - 1) / it.groups,
              first = group * steps_of_group, end = min(steps, first + steps_of_group);
    auto [channel, r] = divide(first, it.by_taps_down);
    const float* window =
        image + channel * it.plane + (place.quotient + r) * it.pitch + kRunPixels * place.remainder;
    const float* weights = filters + (tile * steps + first) * kTaps * padded(kOutputs);
    for (int step = first; step < end; ++step) {
      multiply<kTaps>(window, weights, sums);
      weights += kTaps * padded(kOutputs);
      window += it.pitch;
      if (++r < it.taps_down) continue;
      r = 0;
      window += it.plane - it.taps_down * it.pitch;
    }
  }

  const int column = kRunPixels * place.remainder;
  const Place to{(int64_t{n} * it.rows + first_row + place.quotient) * it.columns + column,
                 has_pixels ? min(kRunPixels, it.columns - column) : 0, tile * kOutputs};
  if (it.groups > 1) return store_groups(it, target, to, group, sums, image);
  if (has_pixels) store_pixels(it, target, to, 0, sums);
}

// A launch of them: threads with so many outputs each.
struct WindowsLaunch {
  Windows it;
  int outputs_of_thread;
  unsigned blocks, threads;
  size_t bytes;
};

// Nothing where windows do not slide, or need too much memory or too many threads.
std::optional<WindowsLaunch> windows_forward(const Conv2dShape& shape, const float* x,
                                             const float* weight);
std::optional<WindowsLaunch> windows_backward_data(const Conv2dShape& shape, const float* dy,
                                                   const float* weight);

}  // namespace neurona
