// Depthwise convolutions (one filter per channel, Chollet 2017) of any shape; those of 3, 5 or
// 7 taps squared are in conv2d_depthwise_walk.cu.
//
// A thread has a pixel of the output and a few channels. The block's filters lie in shared memory
// by taps: where they come from, the taps of a channel lie side by side.
#include "cuda/conv2d_depthwise.cuh"
#include "cuda/conv2d_variants.h"
#include "cuda/product/epilogue.cuh"

namespace neurona {
namespace {

constexpr int kTogether = 4;      // pixels that are asked for before the first one is used
constexpr int kStagedTaps = 128;  // of larger filters, so many at a time
constexpr int kTurns = 4;         // pixels of a thread at most, which share what its block brings
// Between the taps of a channel, so that few of them, which are written at once, share a bank, and
// 16 bytes stay aligned.
constexpr int kPitch = kTileChannels + 4;

// Rows or columns of what is read, by a forward pass or by the gradient of an image.
template <bool kIsGradient, typename Index>
struct Axis {
  Index size, outputs, taps, stride, padding, dilation;
  Divisor by_stride;

  // Where a tap of the output `at` reads; -1 beside the image.
  __device__ Index place(Index at, Index tap) const {
    if constexpr (kIsGradient) {
      const Index distance = at + padding - tap * dilation;
      if (distance < 0) return -1;
      const auto window = divide(distance, by_stride);
      return window.remainder == 0 && window.quotient < size ? window.quotient : -1;
    } else {
      const Index place = at * stride + tap * dilation - padding;
      return place >= 0 && place < size ? place : -1;
    }
  }
};

template <bool kIsGradient, typename Index>
struct Convolution {
  ChannelTiles tiles;
  Axis<kIsGradient, Index> rows, columns;
  Index pixels;
  int turns = 1;
  Divisor by_rows, by_columns;  // of the output
  const float *image, *weight;

  Convolution(const Conv2dShape& shape, int lanes, const float* read, const float* filters)
      : tiles(shape.c, lanes, kBlock),
        rows(axis(shape, 0, shape.h, shape.p, shape.r)),
        columns(axis(shape, 1, shape.w, shape.q, shape.s)),
        pixels(static_cast<Index>(shape.n) * rows.outputs * columns.outputs),
        by_rows(rows.outputs),
        by_columns(columns.outputs),
        image(read),
        weight(filters) {}

  static Axis<kIsGradient, Index> axis(const Conv2dShape& shape, int i, int64_t size,
                                       int64_t windows, int64_t taps) {
    return {static_cast<Index>(kIsGradient ? windows : size),
            static_cast<Index>(kIsGradient ? size : windows),
            static_cast<Index>(taps),
            static_cast<Index>(shape.stride[i]),
            static_cast<Index>(shape.padding[i]),
            static_cast<Index>(shape.dilation[i]),
            Divisor(shape.stride[i])};
  }
};

// Whole rows of the filters, or a part of one.
struct Taps {
  int first_row, rows, first_column, columns;
};

// Those of a tile's filters, by the whole block: a warp takes a channel.
__device__ inline void stage_taps(const float* weight, const ChannelTiles& tiles, int first_channel,
                                  int channels, int filter, int columns, const Taps& taps,
                                  float* staged) {
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize,
            lane = static_cast<int>(threadIdx.x) % kWarpSize, count = taps.rows * taps.columns;
  weight += taps.first_row * columns + taps.first_column;
  __syncthreads();
  for (int c = warp; c < channels && first_channel + c < tiles.channels; c += kBlock / kWarpSize)
    for (int tap = lane; tap < count; tap += kWarpSize)
      staged[tap * kPitch + c] = weight[int64_t{first_channel + c} * filter + tap];
  __syncthreads();
}

// Adds the products of some taps to the sum of a pixel. `weights` are those of the thread's
// channels.
template <bool kIsGradient, int kLanes, typename Index>
__device__ inline void add_taps(const Convolution<kIsGradient, Index>& it, const Taps& taps,
                                Index image, Index row, Index column, int channel,
                                const float* weights, Lanes<float, kLanes>& sum) {
  const Index channels = it.tiles.channels;
  for (int r = 0; r < taps.rows; ++r, weights += taps.columns * kPitch) {
    const Index h = it.rows.place(row, taps.first_row + r);
    if (h < 0) continue;
    const float* const line =
        it.image + (image * it.rows.size + h) * it.columns.size * channels + channel;
    for (int first = 0; first < taps.columns; first += kTogether) {
      Lanes<float, kLanes> pixels[kTogether];
      NEURONA_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        const Index w = it.columns.place(column, taps.first_column + first + i);
        pixels[i] = {};
        if (first + i < taps.columns && w >= 0) pixels[i] = *as_lanes<kLanes>(line + w * channels);
      }
      NEURONA_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        if (first + i >= taps.columns) continue;
        const Lanes<float, kLanes> weight = *as_lanes<kLanes>(weights + (first + i) * kPitch);
        add_product(pixels[i], weight, sum);
      }
    }
  }
}

template <bool kIsGradient, int kLanes, typename Index>
__global__ void __launch_bounds__(kBlock, sizeof(Index) == 4 ? 3 : 2)
    pixel_kernel(Convolution<kIsGradient, Index> it, RowTarget target) {
  NEURONA_SHARED(float4, memory, [kStagedTaps * kPitch / 4]);
  float* const staged = reinterpret_cast<float*>(memory);
  const auto [chunk, tile] = divide(static_cast<int>(blockIdx.x), it.tiles.by_tiles);
  const ChannelPlace own = place_in<kLanes>(it.tiles, tile);
  const auto rows = static_cast<int>(it.rows.taps), columns = static_cast<int>(it.columns.taps),
             columns_at_once = min(columns, kStagedTaps),
             rows_at_once = min(rows, kStagedTaps / columns_at_once);
  const bool are_staged_once = rows_at_once == rows && columns_at_once == columns;
  wait_for_earlier_kernels();
  NEURONA_NO_UNROLL
  for (int turn = 0; turn < it.turns; ++turn) {
    const Index pixel =
        (static_cast<Index>(chunk) * it.turns + turn) * it.tiles.across + own.number;
    const auto line = divide(pixel, it.by_columns), image = divide(line.quotient, it.by_rows);
    const bool has_pixel = own.has_work && pixel < it.pixels;
    Lanes<float, kLanes> sum{};
    for (int r = 0; r < rows; r += rows_at_once)
      for (int s = 0; s < columns; s += columns_at_once) {
        const Taps taps{r, min(rows_at_once, rows - r), s, min(columns_at_once, columns - s)};
        if (turn == 0 || !are_staged_once)
          stage_taps(it.weight, it.tiles, own.first_channel, it.tiles.lanes * kLanes,
                     rows * columns, columns, taps, staged);
        if (has_pixel)
          add_taps(it, taps, image.quotient, image.remainder, line.remainder, own.channel,
                   staged + (own.channel - own.first_channel), sum);
      }
    if (!has_pixel) continue;
    Run<kLanes> run;
    NEURONA_UNROLL
    for (int lane = 0; lane < kLanes; ++lane) run.at[lane] = sum[lane];
    target.store_together(target.row(0, pixel), target.columns<kLanes>(0, own.channel, kLanes),
                          run);
  }
}

template <bool kIsGradient>
void run(const char* name, const Conv2dShape& shape, const float* image, const float* weight,
         const RowTarget& target) {
  with_index(largest_place(shape), [&](auto index) {
    with_lanes(shape.c, {image, target.c}, [&](auto lanes) {
      using Index = decltype(index);
      // Blocks that fill the largest GPU well enough; with fewer, each thread has one pixel.
      constexpr int64_t kEnoughBlocks = 132 * 4;
      Convolution<kIsGradient, Index> it(shape, lanes, image, weight);
      const int64_t chunks = divide_up(int64_t{it.pixels}, it.tiles.across);
      it.turns = chunks * it.tiles.tiles >= kEnoughBlocks * kTurns ? kTurns : 1;
      const int64_t blocks = divide_up(chunks, it.turns) * it.tiles.tiles;
      launch(name, pixel_kernel<kIsGradient, lanes, Index>,
             overlapping({dim3(static_cast<unsigned>(blocks))}), it, target);
    });
  });
}

}  // namespace

void conv2d_depthwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y) {
  const RowTarget target = rows_of(y, shape.k, bias, activation);
  if (!conv2d_depthwise_walk_forward(shape, x, weight, target))
    run<false>("conv2d_depthwise_forward", shape, x, weight, target);
}

void conv2d_depthwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx) {
  const RowTarget target = rows_of(dx, shape.c, bias, TileActivation::kNone);
  if (!conv2d_depthwise_walk_backward_data(shape, dy, weight, target))
    run<true>("conv2d_depthwise_backward_data", shape, dy, weight, target);
}

}  // namespace neurona
