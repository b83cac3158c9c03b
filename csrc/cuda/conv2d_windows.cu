// Forward and the gradient of the image with stride 1 and filters of 3 or 5 columns, for the few
// channels and outputs of conv2d_narrow.cu: sums over windows that slide along a row.
//
//   y[n, p, q, k] = sum over c, r, s of x[n, p + r - padding, q + s - padding, c] w[k, c, r, s]
//
// The gradient of the image is the same of dy, with the filters turned by 180 degrees, their
// channels and outputs swapped, and a padding of R - 1 - padding.
//
// A block brings a band of an image's rows to shared memory, with what lies around it as zeros and
// each channel as a plane, and the filters. A thread has 4 pixels side by side and 4, 6 or 8
// outputs. Of a channel and a row of the filters it reads 4 + S - 1 elements, which its pixels
// share, and S weights for each output: with 5 columns and 8 outputs 12 loads of four floats for
// 160 multiplications, and nothing is computed of places in between. Small images, of which a block
// would have too few threads, are shared by groups of threads, each with its own part of the
// channels and rows, whose sums are added in the groups' order.
#include <algorithm>

#include "cuda/conv2d_variants.h"
#include "cuda/conv2d_windows.cuh"
#include "cuda/divisor.cuh"
#include "cuda/product/epilogue.cuh"
#include "cuda/product/slices.cuh"

namespace neurona {
namespace {

constexpr int kMostThreads = 256;
constexpr int kWindow = 2 * kRunPixels;  // what is read of a row: the last ones see up to 4 more
constexpr int kMostGroups = 4;

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
  constexpr int kTap = kPadded<kOutputs>;
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
    read_wide(weights + s * kPadded<kOutputs>, weight);
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
      memory[(j * kRunPixels + i) * kMostThreads + static_cast<int>(threadIdx.x)] = sums[i][j];
  }
  __syncthreads();
  for (int i = group; i < place.inside; i += it.groups) {
    float total[1][kOutputs];
    const float* part = memory + i * kMostThreads + in_group;
    NEURONA_UNROLL
    for (int j = 0; j < kOutputs; ++j) total[0][j] = part[j * kRunPixels * kMostThreads];
    for (int other = 1; other < it.groups; ++other) {
      part += of_group;
      NEURONA_UNROLL
      for (int j = 0; j < kOutputs; ++j) total[0][j] += part[j * kRunPixels * kMostThreads];
    }
    store_pixels(it, target, place, i, total);
  }
}

template <int kTaps, int kOutputs>
__global__ void __launch_bounds__(kMostThreads, 2) windows_kernel(Windows it, BiasedRows target) {
  NEURONA_DYNAMIC_SHARED(float4, memory);
  float* const image = reinterpret_cast<float*>(memory);
  float* const filters = image + it.channels * it.plane;
  const auto [n, band] = divide(static_cast<int>(blockIdx.x), it.by_bands);
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

  const bool has_pixels = place.quotient < it.rows_of_band && first_row + place.quotient < it.rows;
  float sums[kRunPixels][kOutputs] = {};
  if (has_pixels) {
    const int steps = it.steps(), steps_of_group = (steps + it.groups - 1) / it.groups,
              first = group * steps_of_group, end = min(steps, first + steps_of_group);
    auto [channel, r] = divide(first, it.by_taps_down);
    const float* window =
        image + channel * it.plane + (place.quotient + r) * it.pitch + kRunPixels * place.remainder;
    const float* weights = filters + (tile * steps + first) * kTaps * kPadded<kOutputs>;
    for (int step = first; step < end; ++step) {
      multiply<kTaps>(window, weights, sums);
      weights += kTaps * kPadded<kOutputs>;
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

// How many threads have which positions: as many positions as an image has where a block can, with
// fewer if there would not be a block for half of the multiprocessors, and groups for the rest.
void share_out(Windows& it, int64_t images) {
  constexpr int64_t kEnoughBlocks = kEnoughTiles / 2;
  const auto up_to_warps = [](int threads) {
    return static_cast<int>(divide_up(threads, kWarpSize)) * kWarpSize;
  };
  const auto take = [&](int positions) {
    it.positions = positions;
    const int most_rows = std::min(positions / it.runs, it.rows);
    it.bands = static_cast<int>(divide_up(it.rows, most_rows));
    it.rows_of_band = static_cast<int>(divide_up(it.rows, it.bands));
  };
  const int most = kMostThreads / it.tiles;
  take(std::min(up_to_warps(static_cast<int>(std::min<int64_t>(int64_t{it.runs} * it.rows, most))),
                most));
  while (images * it.bands < kEnoughBlocks && it.positions > kWarpSize &&
         up_to_warps(it.positions / 2) >= it.runs)
    take(up_to_warps(it.positions / 2));
  it.groups = 1;
  while (it.groups < kMostGroups && 2 * it.groups * it.tiles * it.positions <= kMostThreads &&
         2 * it.groups <= it.steps())
    it.groups *= 2;
}

template <int kTaps, int kOutputs>
bool run(const char* name, Windows it, int64_t images, const RowTarget& target) {
  constexpr size_t kMostMemory = 96 * 1024;  // which all GPUs since sm_80 have for a block
  it.tiles = static_cast<int>(divide_up(it.outputs, kOutputs));
  it.runs = static_cast<int>(divide_up(it.columns, kRunPixels));
  if (it.runs > kMostThreads / it.tiles) return false;
  share_out(it, images);
  // Planes are 4 banks apart, so that the channels of a pixel come to different ones.
  constexpr int kBanks = 32;
  it.pitch = it.runs * kRunPixels + kWindow - kRunPixels;
  it.plane = static_cast<int>(divide_up(it.rows_read() * it.pitch - kRunPixels, kBanks)) * kBanks +
             kRunPixels;
  const bool is_in_fours =
      it.channels % 4 == 0 && reinterpret_cast<uintptr_t>(it.image) % sizeof(float4) == 0;
  it.by_run = Divisor(it.runs);
  it.by_channels = Divisor(is_in_fours ? it.channels / 4 : it.channels);
  it.by_taps_down = Divisor(it.taps_down);
  it.by_filter_rows = Divisor(int64_t{it.is_turned ? it.outputs : it.channels} * it.taps_down);
  it.by_bands = Divisor(it.bands);
  it.by_positions = Divisor(it.positions);
  it.by_tiles = Divisor(it.tiles);
  const int threads = it.positions * it.tiles * it.groups;
  it.across = std::min(it.pitch * static_cast<int>(it.by_channels.divisor), threads);
  it.down = threads / it.across;
  it.by_across = Divisor(it.across);
  const size_t brought = static_cast<size_t>(it.channels) * it.plane +
                         static_cast<size_t>(it.tiles) * it.steps() * kTaps * kPadded<kOutputs>,
               exchanged = it.groups > 1 ? size_t{kMostThreads} * kRunPixels * kOutputs : 0,
               bytes = std::max(brought, exchanged) * sizeof(float);
  if (bytes > kMostMemory) return false;
  launch(name, windows_kernel<kTaps, kOutputs>,
         overlapping({dim3(static_cast<unsigned>(images * it.bands)),
                      dim3(static_cast<unsigned>(threads)), bytes}),
         it, biased_rows(target));
  return true;
}

template <int kTaps>
bool run_by_outputs(const char* name, const Windows& it, int64_t images, const RowTarget& target) {
  if (it.outputs <= 4) return run<kTaps, 4>(name, it, images, target);
  if (it.outputs <= 6) return run<kTaps, 6>(name, it, images, target);
  return run<kTaps, 8>(name, it, images, target);
}

bool run_by_taps(const char* name, const Conv2dShape& shape, const Windows& it,
                 const RowTarget& target) {
  if (shape.s == 3) return run_by_outputs<3>(name, it, shape.n, target);
  return run_by_outputs<5>(name, it, shape.n, target);
}

// The images on one side of a convolution.
struct Side {
  int64_t channels, height, width;
};

Windows windows(const Side& read, const Side& written, int64_t taps_down, const Pair& padding) {
  Windows it{};
  it.channels = static_cast<int>(read.channels);
  it.height = static_cast<int>(read.height);
  it.width = static_cast<int>(read.width);
  it.outputs = static_cast<int>(written.channels);
  it.rows = static_cast<int>(written.height);
  it.columns = static_cast<int>(written.width);
  it.taps_down = static_cast<int>(taps_down);
  it.padding_h = static_cast<int>(padding[0]);
  it.padding_w = static_cast<int>(padding[1]);
  return it;
}

}  // namespace

bool conv2d_windows_forward(const Conv2dShape& shape, const float* x, const float* weight,
                            const RowTarget& target) {
  if (!have_windows(shape)) return false;
  Windows it =
      windows({shape.c, shape.h, shape.w}, {shape.k, shape.p, shape.q}, shape.r, shape.padding);
  it.image = x;
  it.weight = weight;
  return run_by_taps("conv2d_forward", shape, it, target);
}

bool conv2d_windows_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const RowTarget& target) {
  if (!have_windows(shape)) return false;
  Windows it = windows({shape.k, shape.p, shape.q}, {shape.c, shape.h, shape.w}, shape.r,
                       {shape.r - 1 - shape.padding[0], shape.s - 1 - shape.padding[1]});
  it.image = dy;
  it.weight = weight;
  it.is_turned = true;
  return run_by_taps("conv2d_backward_data", shape, it, target);
}

}  // namespace neurona
