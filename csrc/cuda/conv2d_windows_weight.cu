// The gradient of the filters with stride 1 and filters of 3 or 5 columns, for the few channels and
// outputs of conv2d_narrow.cu, by the windows of conv2d_windows.cu:
//
//   dw[k, c, r, s] = sum over n, p, q of dy[n, p, q, k] x[n, p + r - padding, q + s - padding, c]
#include <algorithm>

#include "cuda/conv2d_variants.h"
#include "cuda/conv2d_window_gradient.cuh"
#include "cuda/product/product_grid.cuh"

namespace neurona {
namespace {

template <int kTaps, int kOutputs>
__global__ void __launch_bounds__(kMostWindowThreads, 1) window_gradient_kernel(WindowGradient it) {
  NEURONA_DYNAMIC_SHARED(float4, memory);
  sum_window_gradient<kTaps, kOutputs>(it, static_cast<int>(blockIdx.x),
                                       static_cast<int>(blockIdx.y), memory);
}

// How rows of `columns` pixels lie in shared memory, each `pixel` floats wide, from first_pixel on.
BandRows rows_of_pixels(const float* from, int64_t columns, int64_t channels, int64_t pixel,
                        int64_t first_pixel, int64_t runs_read) {
  const auto is_in = [&](int piece) {
    return channels % piece == 0 && pixel % piece == 0 &&
           reinterpret_cast<uintptr_t>(from) % (piece * sizeof(float)) == 0;
  };
  BandRows it{};
  it.channels = static_cast<int>(channels);
  it.piece = is_in(4) ? 4 : is_in(2) ? 2 : 1;
  it.pieces = static_cast<int>(columns * channels / it.piece);
  it.pixel = static_cast<int>(pixel);
  it.gap = pixel % 4 == 0 ? 4 : 0;
  it.pitch = static_cast<int>(divide_up(it.place(static_cast<int>(runs_read) * kRunPixels), 4)) * 4;
  it.first_pixel = static_cast<int>(first_pixel);
  it.by_piece = Divisor(channels / it.piece);
  return it;
}

// Items of no more rows than a buffer holds, each slice with as many, and for the threads as many
// octets as have runs of an item.
void share_out(WindowGradient& it) {
  constexpr int kMostBuffer = 24 * 1024 / sizeof(float);  // two of them
  const int row = it.of_dy.pitch + it.of_x.pitch, beyond = (it.taps_together - 1) * it.of_x.pitch,
            most_rows = std::clamp((kMostBuffer - beyond) / row, 1, it.rows);
  it.bands = static_cast<int>(divide_up(it.rows, most_rows));
  it.rows_of_band = static_cast<int>(divide_up(it.rows, it.bands));
  it.buffer = it.rows_of_band * row + beyond;
  it.items = it.images * it.bands;
  const int columns = it.taps_down / it.taps_together,
            slices = std::clamp(static_cast<int>(kEnoughTiles) / columns, 1, it.items);
  it.items_of_slice = static_cast<int>(divide_up(it.items, slices));
  const int64_t eights = divide_up(it.rows_of_band * it.runs, kGradientLanes),
                rounds = divide_up(eights, kMostWindowThreads / kGradientLanes / it.units);
  it.octets = static_cast<int>(divide_up(eights, rounds));
}

}  // namespace

std::optional<WindowGradientLaunch> window_gradient(const Conv2dShape& shape, const float* dy,
                                                    const float* x, float* dw, float* db) {
  if (!have_windows(shape)) return {};
  const int taps = static_cast<int>(shape.s), outputs = outputs_of_thread(shape.k);
  const int64_t tiles = divide_up(shape.k, outputs), runs = divide_up(shape.q, kRunPixels);
  WindowGradient it{};
  it.dy = dy, it.x = x, it.dw = dw, it.db = db;
  it.images = static_cast<int>(shape.n);
  it.height = static_cast<int>(shape.h), it.width = static_cast<int>(shape.w);
  it.channels = static_cast<int>(shape.c), it.outputs = static_cast<int>(shape.k);
  it.rows = static_cast<int>(shape.p), it.columns = static_cast<int>(shape.q);
  it.taps_down = static_cast<int>(shape.r), it.padding_h = static_cast<int>(shape.padding[0]);
  it.runs = static_cast<int>(runs);
  it.by_run = Divisor(runs);
  // Units of all rows together, of which the last block has to add few enough.
  constexpr int64_t kFewUnits = 16;
  it.tiles = static_cast<int>(tiles);
  it.taps_together = static_cast<int>(tiles * shape.c * shape.r <= kFewUnits ? shape.r : 1);
  it.units = static_cast<int>(tiles * shape.c) * it.taps_together;
  it.of_dy = rows_of_pixels(dy, shape.q, shape.k, tiles * padded(outputs), 0, runs);
  // The last run sees up to 4 pixels more; beyond those there may be more of the image.
  const int64_t pixels_read = std::max(runs * kRunPixels + taps - 1, shape.w + shape.padding[1]);
  it.of_x = rows_of_pixels(x, shape.w, shape.c, shape.c, shape.padding[1],
                           divide_up(pixels_read, kRunPixels));
  share_out(it);

  const int threads = it.octets * it.units * kGradientLanes;
  it.by_bands = Divisor(it.bands);
  for (BandRows* rows : {&it.of_dy, &it.of_x}) {
    rows->across = std::min(rows->pieces, threads);
    rows->down = threads / rows->across;
    rows->by_across = Divisor(rows->across);
  }
  const auto columns = static_cast<unsigned>(it.taps_down / it.taps_together);
  it.slices = static_cast<int>(divide_up(it.items, it.items_of_slice));
  const WindowGradientLaunch planned{it, taps, outputs, columns, static_cast<unsigned>(threads)};
  if (planned.bytes(planned.threads) > kMostWindowMemory || columns > kBlockCounters) return {};
  return planned;
}

bool conv2d_windows_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                    float* dw, float* db) {
  auto gradient = window_gradient(shape, dy, x, dw, db);
  if (!gradient) return false;
  const WindowGradientMemory memory(*gradient);
  with_tile(shape.s, gradient->outputs_of_thread, [&](auto taps, auto outputs) {
    launch("conv2d_backward_weight", window_gradient_kernel<taps, outputs>,
           overlapping({dim3(gradient->columns, static_cast<unsigned>(gradient->it.slices)),
                        dim3(gradient->threads), gradient->bytes(gradient->threads)}),
           gradient->it);
  });
  return true;
}

}  // namespace neurona
