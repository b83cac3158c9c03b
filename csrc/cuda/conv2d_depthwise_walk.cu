// Depthwise convolutions of 3, 5 or 7 taps squared with stride 1 or 2, and the gradients of their
// images: a thread has a few channels of some columns side by side and walks down a band of the
// image. Each row that it reads it adds at once to all rows of the output that see it, whose sums
// and filters stay in registers, while the next rows are under way. So a thread reads a row once,
// and of two columns of the output 4 columns with 3 taps, the outer ones of which are its
// neighbours' too, who read them from the same lines of L1.
//
// A step of the walk ends as many rows of the output as it can. Of a forward pass
//
//   y[p, q] = sum over r, s of x[p stride + r - padding, q stride + s - padding] w[r, s]
//
// step p brings the rows r >= R - stride, which are the first ones of steps p + 1, .. too, and ends
// row p. With stride 1 the gradient of the image is the same of dy, with turned filters and a
// padding of R - 1 - padding. With stride 2 it is
//
//   dx[2 g + t - padding] = sum over j of dy[g - j] w[2 j + t],   t = 0, 1,   columns alike
//
// where step g brings row g of dy, and ends two rows.
#include "cuda/conv2d_depthwise.cuh"
#include "cuda/conv2d_variants.h"
#include "cuda/product/epilogue.cuh"

namespace neurona {
namespace {

constexpr int kThreads = 128;

// What is read by windows that begin kStride apart. A thread has two side by side, or four where
// its registers allow.
template <int kTaps, int kStride, int kLanes>
struct Gather {
  static constexpr int kFilter = kTaps * kTaps;
  static constexpr int kRowsIn = kStride, kRowsOut = 1;  // of a step
  static constexpr bool kIsLarge = kTaps == 5 && kStride == 1 && kLanes > 1;
  static constexpr int kColumnsOut = kIsLarge || kLanes == 1 ? 4 : 2;  // of a strip
  static constexpr int kAhead = kIsLarge ? 1 : 2;                      // rows under way
  static constexpr int kColumnsIn = kColumnsOut * kStride;
  static constexpr int kWindow = (kColumnsOut - 1) * kStride + kTaps;
  static constexpr int kSteps = (kTaps - 1) / kStride + 1;  // that see a row
  static constexpr int kRowsBefore = kTaps - kStride;       // that a step sees and others brought

  // Adds row `i` of those that a step brings to the sums of this one and the next ones.
  template <typename Item>
  static __device__ void add(int i, const Item (&window)[kWindow], const Item (&weights)[kFilter],
                             Item (&sums)[kSteps * kRowsOut][kColumnsOut]) {
    NEURONA_UNROLL
    for (int step = 0; step < kSteps; ++step) {
      const int r = kRowsBefore + i - step * kStride;
      if (r < 0) continue;
      NEURONA_UNROLL
      for (int s = 0; s < kTaps; ++s) {
        NEURONA_UNROLL
        for (int column = 0; column < kColumnsOut; ++column)
          add_product(window[column * kStride + s], weights[r * kTaps + s], sums[step][column]);
      }
    }
  }
};

// What is read by taps that lie kStride apart: a thread has a cell of kStride x kStride outputs.
template <int kTaps, int kStride, int kLanes>
struct Scatter {
  static constexpr int kFilter = kTaps * kTaps;
  static constexpr int kRowsIn = 1, kRowsOut = kStride;
  static constexpr int kColumnsOut = kStride, kColumnsIn = 1, kAhead = 2;
  static constexpr int kSteps = (kTaps - 1) / kStride + 1;
  static constexpr int kWindow = kSteps, kRowsBefore = kSteps - 1;

  template <typename Item>
  static __device__ void add(int /* i */, const Item (&window)[kWindow],
                             const Item (&weights)[kFilter],
                             Item (&sums)[kSteps * kRowsOut][kColumnsOut]) {
    NEURONA_UNROLL
    for (int r = 0; r < kTaps; ++r) {
      NEURONA_UNROLL
      for (int s = 0; s < kTaps; ++s)
        add_product(window[kWindow - 1 - s / kStride], weights[r * kTaps + s],
                    sums[r][s % kStride]);
    }
  }
};

struct Walk {
  ChannelTiles tiles;
  Bands bands;
  const float *image, *weight;
  int height, width;  // of what is read
  int rows, columns;  // of what is written
  int in_h, in_w;     // where the first step's first own row lies, and the first strip's window
  int out_h, out_w;   // and what they write
  bool is_turned;
};

// The filters of a thread's channels, which lie one behind the other.
template <int kFilter, int kLanes>
__device__ inline void read_filters(const Walk& it, int channel,
                                    Lanes<float, kLanes> (&weights)[kFilter]) {
  const Lanes<float, kLanes>* const from = as_lanes<kLanes>(it.weight + channel * kFilter);
  Lanes<float, kLanes> filters[kFilter];
  NEURONA_UNROLL
  for (int i = 0; i < kFilter; ++i) filters[i] = from[i];
  NEURONA_UNROLL
  for (int i = 0; i < kFilter * kLanes; ++i) {
    const int filter = i / kFilter, tap = i % kFilter, turned = i - tap + kFilter - 1 - tap;
    const float plain = filters[i / kLanes][i % kLanes],
                reversed = filters[turned / kLanes][turned % kLanes];
    weights[tap][filter] = it.is_turned ? reversed : plain;
  }
}

// Where the outputs of a strip go, one row after the other. The place moves along, for the compiler
// would rather compute it anew for each pixel than keep what does not change.
template <typename Pass, int kLanes>
struct Strip {
  float* place;
  int row, line;
  unsigned inside;  // those of its columns that lie in the image
  BiasedRows::Columns<kLanes> channels;

  __device__ Strip(const Walk& it, const BiasedRows& target, const BandPlace& band, int channel)
      : row(band.first * Pass::kRowsOut + it.out_h),
        line(it.columns * it.tiles.channels),
        channels(target.columns<kLanes>(0, channel, kLanes)) {
    const int column = band.strip * Pass::kColumnsOut + it.out_w;
    inside = bits_inside<Pass::kColumnsOut>(column, it.columns);
    place =
        target.row(0, (int64_t{band.image} * it.rows + row) * it.columns + column) + channels.first;
    channels.first = 0;
  }

  // The rows that a step ends, of which the outer ones may lie beside the image.
  template <int kRows>
  __device__ void store(const Walk& it, const BiasedRows& target,
                        const Lanes<float, kLanes> (&sums)[kRows][Pass::kColumnsOut]) {
    NEURONA_UNROLL
    for (int t = 0; t < Pass::kRowsOut; ++t, ++row, place += line) {
      if (Pass::kRowsOut > 1 && (row < 0 || row >= it.rows)) continue;
      NEURONA_UNROLL
      for (int i = 0; i < Pass::kColumnsOut; ++i) {
        if (!(inside >> i & 1)) continue;
        Run<kLanes> run;
        NEURONA_UNROLL
        for (int lane = 0; lane < kLanes; ++lane) run.at[lane] = sums[t][i][lane];
        target.store_together(place + i * it.tiles.channels, channels, run);
      }
    }
  }
};

template <typename Pass, int kLanes>
__global__ void __launch_bounds__(kThreads, kWalkers / kThreads)
    walk_kernel(Walk it, BiasedRows target) {
  using Item = Lanes<float, kLanes>;
  constexpr int kAhead = Pass::kAhead, kRows = Pass::kSteps * Pass::kRowsOut;
  static_assert(kAhead % Pass::kRowsIn == 0, "a turn of the loop is whole steps");
  const auto [chunk, tile] = divide(static_cast<int>(blockIdx.x), it.tiles.by_tiles);
  const ChannelPlace own = place_in<kLanes>(it.tiles, tile);
  const int item = chunk * it.tiles.across + own.number;
  const BandPlace band = place_in(it.bands, item);
  const int first_w = band.strip * Pass::kColumnsIn + it.in_w,
            lowest = max(0, band.first * Pass::kRowsIn + it.in_h - Pass::kRowsBefore),
            begin = band.first - (Pass::kSteps - 1), line = it.width * it.tiles.channels;
  const unsigned columns = bits_inside<Pass::kWindow>(first_w, it.width);
  const auto rows_read =
      static_cast<unsigned>(max(0, min(it.height, band.end * Pass::kRowsIn + it.in_h) - lowest));
  wait_for_earlier_kernels();
  if (!own.has_work || item >= it.bands.items) return;

  Item weights[Pass::kFilter], rows[kAhead][Pass::kWindow], sums[kRows][Pass::kColumnsOut] = {};
  int h = begin * Pass::kRowsIn + it.in_h;
  const float* next = it.image + (int64_t{band.image} * it.height + h) * line +
                      first_w * it.tiles.channels + own.channel;
  const auto read_next = [&](Item(&row)[Pass::kWindow]) {
    const bool is_read = static_cast<unsigned>(h - lowest) < rows_read;
    read_pixels(next, it.tiles.channels, is_read ? columns : 0, row);
    ++h;
    next += line;
  };
  NEURONA_UNROLL
  for (int i = 0; i < kAhead; ++i) read_next(rows[i]);
  read_filters(it, own.channel, weights);
  Strip<Pass, kLanes> strip(it, target, band, own.channel);
  NEURONA_NO_UNROLL
  for (int step = begin; step < band.end; step += kAhead / Pass::kRowsIn) {
    NEURONA_UNROLL
    for (int i = 0; i < kAhead; ++i) {
      const int of_step = i % Pass::kRowsIn, own_step = step + i / Pass::kRowsIn;
      Pass::add(of_step, rows[i], weights, sums);
      read_next(rows[i]);
      if (of_step < Pass::kRowsIn - 1) continue;
      if (own_step >= band.first && own_step < band.end) strip.store(it, target, sums);
      NEURONA_UNROLL
      for (int row = 0; row < kRows; ++row) {
        NEURONA_UNROLL
        for (int column = 0; column < Pass::kColumnsOut; ++column)
          sums[row][column] =
              row + Pass::kRowsOut < kRows ? sums[row + Pass::kRowsOut][column] : Item{};
      }
    }
  }
}

template <typename Pass, int kLanes>
void run(const char* name, Walk it, int64_t images, int64_t steps, int64_t strips,
         const RowTarget& target) {
  // Steps that the first rows take to come, an estimate.
  constexpr int64_t kStart = 3, kAtOnce = 132 * kWalkers / kThreads;
  it.bands = bands_of(images, steps, strips, it.tiles, kStart + Pass::kSteps - 1, kAtOnce);
  const int64_t blocks = divide_up(it.bands.items, it.tiles.across) * it.tiles.tiles;
  launch(name, walk_kernel<Pass, kLanes>,
         overlapping({dim3(static_cast<unsigned>(blocks)), dim3(kThreads)}), it,
         biased_rows(target));
}

// With a padding that may be negative: rows and columns of the image that no window sees.
template <int kTaps, int kStride, int kLanes>
void gather(const char* name, Walk it, int64_t images, const Pair& padding,
            const RowTarget& target) {
  using Pass = Gather<kTaps, kStride, kLanes>;
  it.in_h = Pass::kRowsBefore - static_cast<int>(padding[0]);
  it.in_w = -static_cast<int>(padding[1]);
  run<Pass, kLanes>(name, it, images, it.rows, divide_up(it.columns, Pass::kColumnsOut), target);
}

template <int kTaps, int kStride, int kLanes>
void scatter(const char* name, Walk it, int64_t images, const Pair& padding,
             const RowTarget& target) {
  using Pass = Scatter<kTaps, kStride, kLanes>;
  const int top = static_cast<int>(padding[0]), left = static_cast<int>(padding[1]),
            first_row = top / kStride, first_column = left / kStride;
  it.in_h = first_row;
  it.in_w = first_column - (Pass::kSteps - 1);
  it.out_h = first_row * kStride - top;
  it.out_w = first_column * kStride - left;
  run<Pass, kLanes>(name, it, images, divide_up(it.rows - it.out_h, kStride),
                    divide_up(it.columns - it.out_w, kStride), target);
}

template <int kLanes>
Walk walk(const Conv2dShape& shape, const float* image, const float* weight, bool is_gradient) {
  const auto h = static_cast<int>(shape.h), w = static_cast<int>(shape.w),
             p = static_cast<int>(shape.p), q = static_cast<int>(shape.q);
  Walk it{};
  it.tiles = ChannelTiles(shape.c, kLanes, kThreads);
  it.image = image, it.weight = weight;
  it.height = is_gradient ? p : h, it.width = is_gradient ? q : w;
  it.rows = is_gradient ? h : p, it.columns = is_gradient ? w : q;
  it.is_turned = is_gradient && shape.stride[0] == 1;
  return it;
}

}  // namespace

bool conv2d_depthwise_walk_forward(const Conv2dShape& shape, const float* x, const float* weight,
                                   const RowTarget& target) {
  if (!are_walked(shape)) return false;
  with_walk(shape, {x, weight, target.c}, [&](auto taps, auto stride, auto lanes) {
    gather<taps, stride, lanes>("conv2d_depthwise_forward", walk<lanes>(shape, x, weight, false),
                                shape.n, shape.padding, target);
  });
  return true;
}

bool conv2d_depthwise_walk_backward_data(const Conv2dShape& shape, const float* dy,
                                         const float* weight, const RowTarget& target) {
  if (!are_walked(shape)) return false;
  with_walk(shape, {dy, weight, target.c}, [&](auto taps, auto stride, auto lanes) {
    const char* const name = "conv2d_depthwise_backward_data";
    const Walk it = walk<lanes>(shape, dy, weight, true);
    if constexpr (stride == 1)
      gather<taps, 1, lanes>(name, it, shape.n,
                             {taps - 1 - shape.padding[0], taps - 1 - shape.padding[1]}, target);
    else
      scatter<taps, stride, lanes>(name, it, shape.n, shape.padding, target);
  });
  return true;
}

}  // namespace neurona
