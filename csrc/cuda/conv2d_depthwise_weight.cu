// The gradient of the filters of depthwise convolutions, all taps in one pass over x and dy:
//
//   dw[c, r, s] = sum over n, p, q of
//                 dy[n, p, q, c] x[n, p stride + r dilation - padding, q stride + ..., c]
//
// Of 3, 5 or 7 taps squared a thread walks down the image as in conv2d_depthwise_walk.cu: it keeps
// the rows of dy that see a row of x, and the sums of all taps. Of others it has 9 taps, and every
// so many pixels.
//
// A block has a tile of the channels and a slice of the pixels; see conv2d_depthwise_sums.cuh for
// what becomes of its threads' sums.
#include "cuda/conv2d_depthwise.cuh"
#include "cuda/conv2d_depthwise_sums.cuh"
#include "cuda/conv2d_variants.h"
#include "cuda/platform/device_memory.h"

namespace neurona {
namespace {

constexpr int kBlocks = kWalkers / kBlock;
constexpr int64_t kAtOnce = 132 * kBlocks;  // blocks of the largest GPU

// Pixels that a walking thread has side by side.
template <int kLanes>
constexpr int kStripColumns = kLanes == 1 ? 4 : 2;

struct Images {
  const float *dy, *x;
  int height, width, rows, columns;  // of x and dy
  int padding_h, padding_w;
};

// Adds the products of row `i` of those that a step brings, and the rows of dy that see it: that of
// the step and later ones, as far as they exist. The gradient 0 of a pixel that there is not would
// make NaN of a NaN that others see.
template <int kTaps, int kStride, int kRows, int kColumns, int kWindow, int kLanes, typename Exists>
__device__ inline void add_row(int i, const Lanes<float, kLanes> (&dy)[kRows][kColumns],
                               const Lanes<float, kLanes> (&window)[kWindow],
                               Lanes<float, kLanes> (&sums)[kTaps * kTaps], const Exists& exists) {
  NEURONA_UNROLL
  for (int later = 0; later < (kTaps - 1) / kStride + 1; ++later) {
    const int r = kTaps - kStride + i - later * kStride;
    if (r < 0) continue;
    NEURONA_UNROLL
    for (int column = 0; column < kColumns; ++column) {
      if (!exists(later, column)) continue;
      NEURONA_UNROLL
      for (int s = 0; s < kTaps; ++s)
        add_product(dy[later][column], window[column * kStride + s], sums[r * kTaps + s]);
    }
  }
}

// A walk down an item, whose products are added to the sums of the taps.
template <int kTaps, int kStride, int kLanes>
__device__ inline void walk_down(const Images& it, int channels, const BandPlace& band, int channel,
                                 Lanes<float, kLanes> (&sums)[kTaps * kTaps]) {
  using Item = Lanes<float, kLanes>;
  // Rows under way: of 7 x 7 taps registers allow one, which has time enough.
  constexpr int kAhead = kTaps == 7 && kStride == 1 ? 1 : 2, kColumns = kStripColumns<kLanes>,
                kWindow = (kColumns - 1) * kStride + kTaps;
  static_assert(kAhead % kStride == 0, "a turn of the loop is whole steps");
  constexpr int kSteps = (kTaps - 1) / kStride + 1, kRowsBefore = kTaps - kStride;
  const int line = it.width * channels, dy_line = it.columns * channels,
            first_w = band.strip * kColumns * kStride - it.padding_w,
            first_q = band.strip * kColumns, begin = band.first - (kSteps - 1),
            lowest = max(0, band.first * kStride - it.padding_h);
  constexpr unsigned kAllPixels = (1u << kColumns) - 1;
  const unsigned inside = bits_inside<kWindow>(first_w, it.width),
                 has_pixel = bits_inside<kColumns>(first_q, it.columns);
  const int rows_read = min(it.height, band.end * kStride + kRowsBefore - it.padding_h) - lowest;
  int h = begin * kStride + kRowsBefore - it.padding_h, p = band.first;
  const float* next =
      it.x + (int64_t{band.image} * it.height + h) * line + first_w * channels + channel;
  const float* next_dy =
      it.dy + (int64_t{band.image} * it.rows + p) * dy_line + first_q * channels + channel;
  const auto read_x = [&](Item(&row)[kWindow]) {
    const bool is_read = h >= lowest && h - lowest < rows_read;
    read_pixels(next, channels, is_read ? inside : 0, row);
    ++h;
    next += line;
  };
  const auto read_dy = [&](Item(&row)[kColumns]) {
    read_pixels(next_dy, channels, p < band.end ? has_pixel : 0, row);
    ++p;
    next_dy += dy_line;
  };
  Item rows[kAhead][kWindow], dy[kSteps + 1][kColumns] = {};  // the last one of the next step
  NEURONA_UNROLL
  for (int i = 0; i < kAhead; ++i) read_x(rows[i]);
  read_dy(dy[kSteps]);
  NEURONA_NO_UNROLL
  for (int step = begin; step < band.end; step += kAhead / kStride) {
    NEURONA_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      const int own_step = step + i / kStride;
      if (i % kStride == 0) {
        NEURONA_UNROLL
        for (int row = 0; row < kSteps; ++row) {
          NEURONA_UNROLL
          for (int column = 0; column < kColumns; ++column) dy[row][column] = dy[row + 1][column];
        }
        read_dy(dy[kSteps]);
      }
      const int row = i % kStride;
      // Of 3 x 3 taps, memory leaves time enough to ask, and two ways take too many registers.
      if (kTaps > 3 && band.first <= own_step && own_step + kSteps <= band.end &&
          has_pixel == kAllPixels)
        add_row<kTaps, kStride>(row, dy, rows[i], sums, [](int, int) { return true; });
      else
        add_row<kTaps, kStride>(row, dy, rows[i], sums, [&](int later, int column) {
          return own_step + later >= band.first && own_step + later < band.end &&
                 (has_pixel >> column & 1);
        });
      read_x(rows[i]);
    }
  }
}

template <int kTaps, int kStride, int kLanes>
__global__ void __launch_bounds__(kBlock, kBlocks)
    walk_kernel(Images it, Bands bands, FilterSums sums) {
  const ChannelPlace own = place_in<kLanes>(sums.tiles, static_cast<int>(blockIdx.x));
  const int across = sums.tiles.across;
  Lanes<float, kLanes> of_taps[kTaps * kTaps] = {};
  wait_for_earlier_kernels();
  for (int item = static_cast<int>(blockIdx.y) * across + own.number;
       item < bands.items && own.has_work; item += static_cast<int>(gridDim.y) * across)
    walk_down<kTaps, kStride>(it, sums.tiles.channels, place_in(bands, item), own.channel, of_taps);
  store_sums(sums, of_taps, own.first_channel, 0);
}

// Taps of a thread where filters are of any shape.
constexpr int kGroupTaps = 9;

template <typename Index>
struct AnyFilters {
  const float *dy, *x;
  Index height, width, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  Index pixels, taps_across;
  Divisor by_rows, by_columns, by_groups;  // groups of taps
};

template <int kLanes, typename Index>
__global__ void __launch_bounds__(kBlock, sizeof(Index) == 4 ? kBlocks : 1)
    pixel_kernel(AnyFilters<Index> it, FilterSums sums) {
  using Item = Lanes<float, kLanes>;
  const auto [tile, group] = divide(static_cast<int>(blockIdx.x), it.by_groups);
  const ChannelPlace own = place_in<kLanes>(sums.tiles, tile);
  const int across = sums.tiles.across, first_tap = group * kGroupTaps;
  const Index channels = sums.tiles.channels;
  Index shift_h[kGroupTaps], shift_w[kGroupTaps];
  NEURONA_UNROLL
  for (int i = 0; i < kGroupTaps; ++i) {
    const Index tap = min(first_tap + i, sums.filter - 1), r = tap / it.taps_across;
    shift_h[i] = r * it.dilation_h - it.padding_h;
    shift_w[i] = (tap - r * it.taps_across) * it.dilation_w - it.padding_w;
  }
  Item of_taps[kGroupTaps] = {};
  wait_for_earlier_kernels();
  for (Index pixel = static_cast<Index>(blockIdx.y) * across + own.number;
       pixel < it.pixels && own.has_work; pixel += static_cast<Index>(gridDim.y) * across) {
    const auto line = divide(pixel, it.by_columns), image = divide(line.quotient, it.by_rows);
    const Index top = image.remainder * it.stride_h, left = line.remainder * it.stride_w;
    const Item gradient = *as_lanes<kLanes>(it.dy + pixel * channels + own.channel);
    Item pixels[kGroupTaps];
    NEURONA_UNROLL
    for (int i = 0; i < kGroupTaps; ++i) {
      const Index h = top + shift_h[i], w = left + shift_w[i];
      pixels[i] = {};
      if (h >= 0 && h < it.height && w >= 0 && w < it.width)
        pixels[i] = *as_lanes<kLanes>(
            it.x + ((image.quotient * it.height + h) * it.width + w) * channels + own.channel);
    }
    NEURONA_UNROLL
    for (int i = 0; i < kGroupTaps; ++i) add_product(gradient, pixels[i], of_taps[i]);
  }
  store_sums(sums, of_taps, own.first_channel, first_tap);
}

// Launches kernel(it.., sums) with as many slices of `chunks` as run at once, for `columns` blocks
// that have different sums.
template <int kTaps, int kLanes, typename Kernel, typename... Arguments>
void launch_slices(Kernel kernel, FilterSums sums, int64_t columns, int64_t chunks,
                   const Arguments&... arguments) {
  constexpr size_t kBytes = sizeof(float) * kTaps * kBlock * kLanes;
  const int64_t slices = std::clamp(kAtOnce / columns, int64_t{1}, std::max(chunks, int64_t{1}));
  const Workspace parts(static_cast<size_t>(columns * slices * kTaps * sums.tiles.lanes * kLanes) *
                        sizeof(float));
  sums.parts = parts.as<float>();
  sums.counters = block_counters();
  launch("conv2d_depthwise_backward_weight", kernel,
         overlapping({dim3(static_cast<unsigned>(columns), static_cast<unsigned>(slices)),
                      dim3(kBlock), kBytes}),
         arguments..., sums);
}

void walk(const Conv2dShape& shape, const float* dy, const float* x, float* dw) {
  const auto as_int = [](int64_t size) { return static_cast<int>(size); };
  const Images images{dy,
                      x,
                      as_int(shape.h),
                      as_int(shape.w),
                      as_int(shape.p),
                      as_int(shape.q),
                      as_int(shape.padding[0]),
                      as_int(shape.padding[1])};
  with_walk(shape, {dy, x}, [&](auto taps, auto stride, auto lanes) {
    // Steps that the first rows take to come, an estimate.
    constexpr int64_t kStart = 3, kSteps = (taps - 1) / stride + 1, kColumns = kStripColumns<lanes>;
    const ChannelTiles tiles(shape.c, lanes, kBlock);
    const Bands bands = bands_of(shape.n, shape.p, divide_up(shape.q, kColumns), tiles,
                                 kStart + kSteps - 1, kAtOnce);
    launch_slices<taps * taps, lanes>(
        walk_kernel<taps, stride, lanes>,
        FilterSums{tiles, nullptr, dw, nullptr, as_int(shape.r * shape.s)}, tiles.tiles,
        divide_up(bands.items, tiles.across), images, bands);
  });
}

template <int kLanes, typename Index>
void take_pixels(const Conv2dShape& shape, const float* dy, const float* x, float* dw) {
  const auto as_index = [](int64_t size) { return static_cast<Index>(size); };
  const int filter = static_cast<int>(shape.r * shape.s);
  const ChannelTiles tiles(shape.c, kLanes, kBlock);
  const int64_t groups = divide_up(filter, kGroupTaps), pixels = shape.n * shape.p * shape.q;
  const AnyFilters<Index> it{dy,
                             x,
                             as_index(shape.h),
                             as_index(shape.w),
                             as_index(shape.stride[0]),
                             as_index(shape.stride[1]),
                             as_index(shape.padding[0]),
                             as_index(shape.padding[1]),
                             as_index(shape.dilation[0]),
                             as_index(shape.dilation[1]),
                             as_index(pixels),
                             as_index(shape.s),
                             Divisor(shape.p),
                             Divisor(shape.q),
                             Divisor(groups)};
  // Of fewer pixels a thread would have more work with its sums than with them.
  constexpr int64_t kFewestPixels = 4;
  launch_slices<kGroupTaps, kLanes>(
      pixel_kernel<kLanes, Index>, FilterSums{tiles, nullptr, dw, nullptr, filter},
      tiles.tiles * groups, divide_up(pixels, tiles.across * kFewestPixels), it);
}

}  // namespace

void conv2d_depthwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw) {
  const int64_t most_columns = shape.c * divide_up(shape.r * shape.s, int64_t{kGroupTaps});
  if (divide_up(most_columns, kTileChannels / 4) > kBlockCounters)
    return conv2d_naive_backward_weight(shape, dy, x, dw);
  if (are_walked(shape)) return walk(shape, dy, x, dw);
  with_index(largest_place(shape), [&](auto index) {
    with_lanes(shape.c, {dy, x},
               [&](auto lanes) { take_pixels<lanes, decltype(index)>(shape, dy, x, dw); });
  });
}

}  // namespace neurona
