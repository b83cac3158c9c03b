// Both gradients of a convolution of conv2d_windows.cu at once: neither needs the other, and either
// alone leaves a multiprocessor with a block of 6 to 8 warps, which wait for their loads more than
// they multiply. So some blocks of a launch do what those of the one kernel do, and some what those
// of the other one do; a multiprocessor has one of each.
#include <algorithm>

#include "cuda/conv2d_variants.h"
#include "cuda/conv2d_window_gradient.cuh"
#include "cuda/conv2d_window_sums.cuh"
#include "cuda/product/product_grid.cuh"

namespace neurona {
namespace {

// Of layers with more outputs than a first layer has, whose image nobody asks for the gradient of.
constexpr int kOutputsOfGradient = 8;

template <int kTaps, int kOutputs>
__global__ void __launch_bounds__(kMostWindowThreads, 2)
    window_gradients_kernel(Windows data, BiasedRows target, unsigned blocks_of_data,
                            WindowGradient weight, Divisor by_columns) {
  NEURONA_DYNAMIC_SHARED(float4, memory);
  const unsigned number = blockIdx.x;
  if (number < blocks_of_data)
    return sum_windows<kTaps, kOutputs>(data, target, static_cast<int>(number),
                                        reinterpret_cast<float*>(memory));
  const auto [slice, column] = divide(static_cast<int>(number - blocks_of_data), by_columns);
  sum_window_gradient<kTaps, kOutputsOfGradient>(weight, column, slice, memory);
}

}  // namespace

bool conv2d_windows_backward(const Conv2dShape& shape, const float* dy, const float* x,
                             const float* weight, const RowTarget& target, float* dw, float* db) {
  const auto data = windows_backward_data(shape, dy, weight);
  auto gradient = window_gradient(shape, dy, x, dw, db);
  // With more blocks than multiprocessors hold at once, one after the other is as good.
  if (!data || !gradient || gradient->outputs_of_thread != kOutputsOfGradient ||
      data->blocks > 2 * kEnoughTiles)
    return false;
  const unsigned most = std::max(data->threads, gradient->threads),
                 threads = static_cast<unsigned>(divide_up(most, kWarpSize)) * kWarpSize;
  const size_t bytes = std::max(data->bytes, gradient->bytes(threads));
  if (bytes > kMostWindowMemory) return false;
  const WindowGradientMemory memory(*gradient);
  with_tile(shape.s, data->outputs_of_thread, [&](auto taps, auto outputs) {
    launch("conv2d_backward", window_gradients_kernel<taps, outputs>,
           overlapping({dim3(data->blocks + gradient->blocks()), dim3(threads), bytes}), data->it,
           biased_rows(target), data->blocks, gradient->it, Divisor(gradient->columns));
  });
  return true;
}

}  // namespace neurona
