// The three passes where images and outputs have few channels each, as a network's first layers
// have: the products of narrow_product.cuh, and for the gradient of the filters a kernel in which a
// warp's lanes are taps and its threads hold all outputs of a group. Filters are read as they lie.
// With stride 1 and filters of 3 or 5 columns it is conv2d_windows.cu's instead.
#include <algorithm>

#include "cuda/conv2d_targets.cuh"
#include "cuda/conv2d_variants.h"
#include "cuda/platform/device_memory.h"
#include "cuda/common/filter_slices.cuh"
#include "cuda/common/last_block.cuh"
#include "cuda/precision.h"
#include "cuda/product/narrow_product.cuh"
#include "cuda/product/patches.cuh"

namespace neurona {
namespace {

// Channels and outputs of a group, above which tiles of 64 do better, and the fewest pixels, below
// which it does not matter. Rounded products are the tensor cores'.
bool is_narrow(const Conv2dShape& shape, int64_t pixels) {
  constexpr int64_t kMostChannels = 16, kFewestPixels = 512, kMostBlocks = int64_t{1} << 30;
  return product_precision() == ProductPrecision::kHighest && shape.group_c() <= kMostChannels &&
         shape.group_k() <= kMostChannels && pixels >= kFewestPixels &&
         pixels * shape.groups < kMostBlocks;
}

// Filters (K, C / groups, R, S) as they lie: lines are outputs, steps (r, s, c).
struct FilterSource {
  const float* weight;
  int64_t outputs, channels, taps;  // of a group
  Divisor by_channel;

  using Line = const float*;
  using Step = int64_t;
  __device__ Line line(int64_t group, int64_t index) const {
    return index < outputs ? weight + (group * outputs + index) * channels * taps : nullptr;
  }
  __device__ Step step(int64_t, int64_t k) const {
    const auto tap = divide(static_cast<int>(k), by_channel);
    return tap.remainder * taps + tap.quotient;
  }
  __device__ const float* address(const Line& line, const Step& step) const {
    return line ? line + step : nullptr;
  }
};

// The same for the gradient of the image: lines are channels, steps (tap, output), with the taps of
// a pixel's remainders.
struct TurnedFilterSource {
  const float* weight;
  int64_t outputs, channels, taps;
  int64_t first_tap, down, across;  // of the remainders, in taps
  Divisor by_column, by_output;

  using Line = const float*;
  using Step = int64_t;
  __device__ Line line(int64_t group, int64_t index) const {
    return index < channels ? weight + (group * outputs * channels + index) * taps : nullptr;
  }
  __device__ Step step(int64_t, int64_t k) const {
    const auto tap = divide(static_cast<int>(k), by_output),
               place = divide(tap.quotient, by_column);
    return tap.remainder * channels * taps + first_tap + place.quotient * down +
           place.remainder * across;
  }
  __device__ const float* address(const Line& line, const Step& step) const {
    return line ? line + step : nullptr;
  }
};

// -- The gradient of the filters ------------------------------------------------------------------

constexpr int kWarps = kBlock / kWarpSize;
constexpr int kPixels = kBlock;  // that a block prepares at once
constexpr int kLoads = 8;        // pixels of a warp that are under way at once

struct FilterGradient {
  const float* dy;
  float *dw, *db;  // the latter null if it is not wanted
  int64_t pixels, pixels_of_slice;
  int64_t outputs, channels, taps, all_outputs, tiles;  // the first three of a group
  float* parts;
  double* bias_parts;  // (group, slice, output)
  unsigned* counters;
};

// dw of 32 lines (tap, channel) and all outputs of a group, from a slice of the pixels; the last
// block of these lines adds the slices in order. There are no more blocks than multiprocessors. The
// blocks of a group's first lines have db too.
template <int kOutputs>
__global__ void __launch_bounds__(kBlock, 1)
    filter_gradient_kernel(FilterGradient it, PatchSource<false> patches) {
  wait_for_earlier_kernels();
  using Source = PatchSource<false>;
  NEURONA_SHARED(NarrowStep, steps, [kPixels]);
  NEURONA_SHARED(float4, gradients, [kPixels][kOutputs / 4]);
  const int64_t group = blockIdx.x / it.tiles, tile = blockIdx.x % it.tiles;
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const Source::Line line = patches.line(group, tile * kWarpSize + lane);
  const int64_t end = min(it.pixels, (blockIdx.y + int64_t{1}) * it.pixels_of_slice);
  const bool has_bias = it.db && tile == 0;
  float sums[kOutputs] = {};
  double bias = 0;
  for (int64_t first = blockIdx.y * it.pixels_of_slice; first < end; first += kPixels) {
    __syncthreads();
    const int64_t own = first + threadIdx.x;
    steps[threadIdx.x].put(own < end ? patches.step(group, own) : Source::Step{});
    auto* elements = reinterpret_cast<float*>(gradients);
    for (int i = threadIdx.x; i < kPixels * kOutputs; i += kBlock) {
      const int64_t pixel = first + i / kOutputs, output = i % kOutputs;
      const bool inside = pixel < end && output < it.outputs;
      elements[i] = inside ? it.dy[pixel * it.all_outputs + group * it.outputs + output] : 0.0f;
      if (has_bias) bias += elements[i];
    }
    __syncthreads();
    for (int pixel = warp * kWarpSize; pixel < (warp + 1) * kWarpSize; pixel += kLoads) {
      float x[kLoads];
      NEURONA_UNROLL
      for (int i = 0; i < kLoads; ++i)
        elements_or_zeros<1>(patches, line, steps[pixel + i].as<Source::Step>(), x + i);
      NEURONA_UNROLL
      for (int i = 0; i < kLoads; ++i) {
        NEURONA_UNROLL
        for (int j = 0; j < kOutputs / 4; ++j) {
          const float4 four = gradients[pixel + i][j];
          sums[4 * j] = fmaf(four.x, x[i], sums[4 * j]);
          sums[4 * j + 1] = fmaf(four.y, x[i], sums[4 * j + 1]);
          sums[4 * j + 2] = fmaf(four.z, x[i], sums[4 * j + 2]);
          sums[4 * j + 3] = fmaf(four.w, x[i], sums[4 * j + 3]);
        }
      }
    }
  }

  // The warps' sums, in their order: [warp][output][lane] where the gradients were.
  __syncthreads();
  auto* of_warps = reinterpret_cast<float*>(gradients);
  constexpr int kSums = kOutputs * kWarpSize;
  NEURONA_UNROLL
  for (int j = 0; j < kOutputs; ++j) of_warps[warp * kSums + j * kWarpSize + lane] = sums[j];
  __syncthreads();
  const int64_t slices = gridDim.y;
  float* parts = it.parts + blockIdx.x * slices * kSums;
  for (int i = threadIdx.x; i < kSums; i += kBlock) {
    float sum = of_warps[i];
    NEURONA_UNROLL
    for (int other = 1; other < kWarps; ++other) sum += of_warps[other * kSums + i];
    parts[blockIdx.y * kSums + i] = sum;
  }
  if (has_bias) {
    __syncthreads();
    store_bias_part(it.bias_parts + (group * slices + blockIdx.y) * kOutputs, kOutputs, bias,
                    reinterpret_cast<double*>(gradients));
  }
  if (!is_last_block(it.counters + blockIdx.x, static_cast<unsigned>(slices))) return;
  for (int i = threadIdx.x; i < kSums; i += kBlock) {
    const float sum = sum_of_slices(parts, slices, kSums, i);
    const int64_t output = i / kWarpSize, index = tile * kWarpSize + i % kWarpSize;
    const int64_t channel = index % it.channels, tap = index / it.channels;
    if (output < it.outputs && tap < it.taps)
      it.dw[((group * it.outputs + output) * it.channels + channel) * it.taps + tap] = sum;
  }
  if (has_bias)
    store_bias(it.bias_parts + group * slices * kOutputs, slices, kOutputs, it.outputs,
               it.db + group * it.outputs);
}

template <int kOutputs>
void filter_gradient(FilterGradient it, int64_t groups, const PatchSource<false>& patches) {
  // A block for each multiprocessor of the largest GPU, of two rounds of pixels or more: what more
  // of them would save, the last one would need to add their slices.
  constexpr int64_t kEnoughBlocks = kEnoughTiles, kFewestPixels = 2 * kPixels;
  const int64_t columns = it.tiles * groups;
  const int64_t slices =
      std::max(std::min(kEnoughBlocks / columns, it.pixels / kFewestPixels), int64_t{1});
  it.pixels_of_slice = divide_up(divide_up(it.pixels, slices), kPixels) * kPixels;
  const auto used = static_cast<unsigned>(divide_up(it.pixels, it.pixels_of_slice));
  const Workspace parts(static_cast<size_t>(columns * used * kOutputs * kWarpSize) * sizeof(float));
  const Workspace bias_parts(it.db ? static_cast<size_t>(groups * used * kOutputs) * sizeof(double)
                                   : 0);
  it.parts = parts.as<float>();
  it.bias_parts = bias_parts.as<double>();
  it.counters = block_counters();
  launch("conv2d_backward_weight", filter_gradient_kernel<kOutputs>,
         overlapping({dim3(static_cast<unsigned>(columns), used)}), it, patches);
}

}  // namespace

bool conv2d_narrow_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y) {
  const int64_t pixels = shape.n * shape.p * shape.q, taps = shape.r * shape.s;
  if (!is_narrow(shape, pixels)) return false;
  RowTarget target = rows_of(y, shape.k, bias, activation);
  target.batch_columns = shape.group_k();
  if (conv2d_windows_forward(shape, x, weight, target)) return true;
  narrow_product(
      "conv2d_forward", {pixels, shape.group_k(), taps * shape.group_c(), shape.groups},
      PatchSource<true>(shape, x),
      FilterSource{weight, shape.group_k(), shape.group_c(), taps, Divisor(shape.group_c())},
      target);
  return true;
}

bool conv2d_narrow_backward(const Conv2dShape& shape, const float* dy, const float* x,
                            const float* weight, float* dx, float* dw, float* db) {
  const bool are_narrow = is_narrow(shape, shape.n * shape.h * shape.w) &&
                          is_narrow(shape, shape.n * shape.p * shape.q);
  return are_narrow &&
         conv2d_windows_backward(shape, dy, x, weight,
                                 rows_of(dx, shape.c, nullptr, TileActivation::kNone), dw, db);
}

bool conv2d_narrow_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const float* bias, float* dx) {
  if (!is_narrow(shape, shape.n * shape.h * shape.w)) return false;
  RowTarget pixels = rows_of(dx, shape.c, bias, TileActivation::kNone);
  pixels.batch_columns = shape.group_c();
  if (conv2d_windows_backward_data(shape, dy, weight, pixels)) return true;
  for_remainders(shape, [&](const Remainder& rows, const Remainder& columns) {
    const TurnedFilterSource filters{weight,
                                     shape.group_k(),
                                     shape.group_c(),
                                     shape.r * shape.s,
                                     rows.first_tap * shape.s + columns.first_tap,
                                     rows.tap_step * shape.s,
                                     columns.tap_step,
                                     Divisor(columns.taps),
                                     Divisor(shape.group_k())};
    narrow_product("conv2d_backward_data",
                   {shape.n * rows.count * columns.count, shape.group_c(),
                    rows.taps * columns.taps * shape.group_k(), shape.groups},
                   GradientSource(shape, rows, columns, dy), filters,
                   pixel_target(shape, rows, columns, pixels));
  });
  return true;
}

bool conv2d_narrow_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw, float* db) {
  const int64_t pixels = shape.n * shape.p * shape.q, taps = shape.r * shape.s;
  const int64_t tiles = divide_up(taps * shape.group_c(), kWarpSize);
  if (!is_narrow(shape, pixels) || tiles * shape.groups > kBlockCounters) return false;
  if (conv2d_windows_backward_weight(shape, dy, x, dw, db)) return true;
  const FilterGradient gradient{
      dy,   dw,      db,    pixels,  0,       shape.group_k(), shape.group_c(),
      taps, shape.k, tiles, nullptr, nullptr, nullptr};
  const PatchSource<false> patches(shape, x);
  if (shape.group_k() <= 8)
    filter_gradient<8>(gradient, shape.groups, patches);
  else
    filter_gradient<16>(gradient, shape.groups, patches);
  return true;
}

}  // namespace neurona
