// Forward and the gradient of the image with stride 1 and filters of 3 or 5 columns, for the few
// channels and outputs of conv2d_narrow.cu: sums over windows that slide along a row.
//
//   y[n, p, q, k] = sum over c, r, s of x[n, p + r - padding, q + s - padding, c] w[k, c, r, s]
//
// The gradient of the image is the same of dy, with the filters turned by 180 degrees, their
// channels and outputs swapped, and a padding of R - 1 - padding.
#include <algorithm>

#include "cuda/conv2d_variants.h"
#include "cuda/conv2d_window_sums.cuh"

namespace neurona {
namespace {

constexpr int kMostGroups = 4;

template <int kTaps, int kOutputs>
__global__ void __launch_bounds__(kMostWindowThreads, 2)
    windows_kernel(Windows it, BiasedRows target) {
  NEURONA_DYNAMIC_SHARED(float4, memory);
  sum_windows<kTaps, kOutputs>(it, target, static_cast<int>(blockIdx.x),
                               reinterpret_cast<float*>(memory));
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
  const int most = kMostWindowThreads / it.tiles;
  take(std::min(up_to_warps(static_cast<int>(std::min<int64_t>(int64_t{it.runs} * it.rows, most))),
                most));
  while (images * it.bands < kEnoughBlocks && it.positions > kWarpSize &&
         up_to_warps(it.positions / 2) >= it.runs)
    take(up_to_warps(it.positions / 2));
  it.groups = 1;
  while (it.groups < kMostGroups && 2 * it.groups * it.tiles * it.positions <= kMostWindowThreads &&
         2 * it.groups <= it.steps())
    it.groups *= 2;
}

std::optional<WindowsLaunch> planned(Windows it, int64_t images, int taps) {
  const int outputs = outputs_of_thread(it.outputs);
  it.tiles = static_cast<int>(divide_up(it.outputs, outputs));
  it.runs = static_cast<int>(divide_up(it.columns, kRunPixels));
  if (it.runs > kMostWindowThreads / it.tiles) return {};
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
                         static_cast<size_t>(it.tiles) * it.steps() * taps * padded(outputs),
               exchanged = it.groups > 1 ? size_t{kMostWindowThreads} * kRunPixels * outputs : 0,
               bytes = std::max(brought, exchanged) * sizeof(float);
  if (bytes > kMostWindowMemory) return {};
  return WindowsLaunch{it, outputs, static_cast<unsigned>(images * it.bands),
                       static_cast<unsigned>(threads), bytes};
}

bool run(const char* name, const Conv2dShape& shape, const std::optional<WindowsLaunch>& windows,
         const RowTarget& target) {
  if (!windows) return false;
  with_tile(shape.s, windows->outputs_of_thread, [&](auto taps, auto outputs) {
    launch(name, windows_kernel<taps, outputs>,
           overlapping({dim3(windows->blocks), dim3(windows->threads), windows->bytes}),
           windows->it, biased_rows(target));
  });
  return true;
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

std::optional<WindowsLaunch> windows_forward(const Conv2dShape& shape, const float* x,
                                             const float* weight) {
  if (!have_windows(shape)) return {};
  Windows it =
      windows({shape.c, shape.h, shape.w}, {shape.k, shape.p, shape.q}, shape.r, shape.padding);
  it.image = x;
  it.weight = weight;
  return planned(it, shape.n, static_cast<int>(shape.s));
}

std::optional<WindowsLaunch> windows_backward_data(const Conv2dShape& shape, const float* dy,
                                                   const float* weight) {
  if (!have_windows(shape)) return {};
  Windows it = windows({shape.k, shape.p, shape.q}, {shape.c, shape.h, shape.w}, shape.r,
                       {shape.r - 1 - shape.padding[0], shape.s - 1 - shape.padding[1]});
  it.image = dy;
  it.weight = weight;
  it.is_turned = true;
  return planned(it, shape.n, static_cast<int>(shape.s));
}

bool conv2d_windows_forward(const Conv2dShape& shape, const float* x, const float* weight,
                            const RowTarget& target) {
  return run("conv2d_forward", shape, windows_forward(shape, x, weight), target);
}

bool conv2d_windows_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                  const RowTarget& target) {
  return run("conv2d_backward_data", shape, windows_backward_data(shape, dy, weight), target);
}

}  // namespace neurona
