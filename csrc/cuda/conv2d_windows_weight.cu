// The gradient of the filters with stride 1 and filters of 3 or 5 columns, for the few channels and
// outputs of conv2d_narrow.cu, by the windows of conv2d_windows.cu:
//
//   dw[k, c, r, s] = sum over n, p, q of dy[n, p, q, k] x[n, p + r - padding, q + s - padding, c]
//
// A block has one row r of all filters, or all rows where those are few, and a slice of the images,
// in bands of rows. The rows of a band and of its x come by cp.async, while the band before is
// multiplied. A thread has a row of the filters, a channel and 4, 6 or 8 outputs, of which it reads
// 4 pixels side by side: 4 + S - 1 elements and 4 gradients of each output, for 4 x S x outputs
// multiplications. 8 threads side by side have neighbouring runs of pixels, so that gradients are
// read by several threads at once. In the end the threads' sums are added in their order, and by
// the last block those of all slices.
#include <algorithm>

#include "cuda/conv2d_variants.h"
#include "cuda/conv2d_windows.cuh"
#include "cuda/device_memory.h"
#include "cuda/divisor.cuh"
#include "cuda/filter_slices.cuh"
#include "cuda/last_block.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/ptx/cp_async.cuh"

namespace neurona {
namespace {

constexpr int kMostThreads = 256;
constexpr int kLanes = 8;  // threads side by side with runs of their own: 128 bytes of quads

// Rows of pixels in shared memory, and how they get there. Runs of kRunPixels lie `gap` floats
// apart where that keeps what is copied together aligned, and neighbouring runs in different banks.
struct Rows {
  int channels, pieces;   // of a row in the device's memory: floats of a pixel, pieces of a row
  int piece;              // floats that are copied at once: 1, 2 or 4
  int pixel, gap, pitch;  // in shared memory
  int first_pixel;        // where the first one lies
  int across, down;       // threads that copy a row, and rows at once
  Divisor by_piece;       // pieces of a pixel
  Divisor by_across;

  __host__ __device__ int place(int column) const {
    return column * pixel + column / kRunPixels * gap;
  }
};

struct WindowGradient {
  const float *dy, *x;
  float *dw, *db;  // the latter null if it is not wanted
  int images, height, width, channels, rows, columns, outputs, taps_down;
  int padding_h;
  Rows of_dy, of_x;

  int runs, rows_of_band, bands, items, items_of_slice;  // an item is a band of an image
  int taps_together;                                     // rows of the filters that a block has
  int tiles, units;  // of outputs; (row of the filters, tile, channel) of a block
  int octets;        // 8 threads of all units, in a block
  int buffer;        // floats, of dy and x of an item
  Divisor by_bands, by_run;
  float* parts;        // (rows of the filters, slice, sum)
  double* bias_parts;  // (slice, output)
  unsigned* counters;
};

template <int kPiece>
__device__ inline void begin_rows(const Rows& it, const float* from, int line, int rows,
                                  float* to) {
  const auto [own_row, first] = divide(static_cast<int>(threadIdx.x), it.by_across);
  if (own_row >= it.down) return;
  for (int i = first; i < it.pieces; i += it.across) {
    const auto piece = divide(i, it.by_piece);
    const int channel = piece.remainder * kPiece;
    float* place = to + it.place(piece.quotient + it.first_pixel) + channel + own_row * it.pitch;
    const float* source = from + own_row * line + piece.quotient * it.channels + channel;
    for (int row = own_row; row < rows; row += it.down) {
      begin_copy<kPiece * sizeof(float)>(place, source, true);
      place += it.down * it.pitch;
      source += it.down * line;
    }
  }
}

__device__ inline void begin_rows(const Rows& it, const float* from, int line, int rows,
                                  float* to) {
  if (it.piece == 4) return begin_rows<4>(it, from, line, rows, to);
  if (it.piece == 2) return begin_rows<2>(it, from, line, rows, to);
  begin_rows<1>(it, from, line, rows, to);
}

// An item's rows of dy, and the first of x that a block's first row of the filters sees, which may
// lie beside the image.
struct Band {
  int n, first_row, rows, first_h;
};

__device__ inline Band band_of(const WindowGradient& it, int item, int first_tap) {
  const auto [n, band] = divide(item, it.by_bands);
  const int first_row = band * it.rows_of_band;
  return {n, first_row, min(it.rows_of_band, it.rows - first_row),
          first_row + first_tap - it.padding_h};
}

// Begins the copies of an item to a buffer, dy and then x.
__device__ inline void begin_item(const WindowGradient& it, const Band& band, float* buffer) {
  const int dy_line = it.columns * it.outputs, x_line = it.width * it.channels,
            begin = max(-band.first_h, 0),
            end = min(it.height - band.first_h, band.rows + it.taps_together - 1);
  const int64_t dy_row = int64_t{band.n} * it.rows + band.first_row,
                x_row = int64_t{band.n} * it.height + band.first_h + begin;
  begin_rows(it.of_dy, it.dy + dy_row * dy_line, dy_line, band.rows, buffer);
  begin_rows(it.of_x, it.x + x_row * x_line, x_line, end - begin,
             buffer + it.rows_of_band * it.of_dy.pitch + begin * it.of_x.pitch);
}

// What a thread computes, and which of the block's runs of pixels it has.
struct Share {
  int tap, tile, channel;  // row of the filters among those of the block
  int first_run, stride;
};

// Adds an item's runs of pixels whose row of x lies in the image.
template <int kTaps, int kOutputs>
__device__ inline void add_item(const WindowGradient& it, const Band& band, const Share& share,
                                const float* buffer, float (&sums)[kTaps][kOutputs]) {
  const float* const x_rows =
      buffer + it.rows_of_band * it.of_dy.pitch + share.tap * it.of_x.pitch + share.channel;
  const float* const dy_rows = buffer + share.tile * kPadded<kOutputs>;
  const int h = band.first_h + share.tap, begin = max(-h, 0), end = min(it.height - h, band.rows);
  for (int run = begin * it.runs + share.first_run; run < end * it.runs; run += share.stride) {
    const auto place = divide(run, it.by_run);
    const float* x = x_rows + place.quotient * it.of_x.pitch +
                     place.remainder * (kRunPixels * it.of_x.pixel + it.of_x.gap);
    const float* dy = dy_rows + place.quotient * it.of_dy.pitch +
                      place.remainder * (kRunPixels * it.of_dy.pixel + it.of_dy.gap);
    float window[kRunPixels + kTaps - 1];
    NEURONA_UNROLL
    for (int i = 0; i < kRunPixels + kTaps - 1; ++i) {
      window[i] = *x;
      x += it.of_x.pixel + (i == kRunPixels - 1 ? it.of_x.gap : 0);
    }
    NEURONA_UNROLL
    for (int i = 0; i < kRunPixels; ++i, dy += it.of_dy.pixel) {
      // The gradient 0 of a pixel beyond the image would make NaN of a NaN that others see.
      if (i > 0 && kRunPixels * place.remainder + i >= it.columns) break;
      float gradients[kOutputs];
      read_wide(dy, gradients);
      NEURONA_UNROLL
      for (int s = 0; s < kTaps; ++s) {
        NEURONA_UNROLL
        for (int j = 0; j < kOutputs; ++j)
          sums[s][j] = fmaf(gradients[j], window[i + s], sums[s][j]);
      }
    }
  }
}

// What this thread's output gets of an item: its threads take the runs in turns.
__device__ inline double bias_of_item(const WindowGradient& it, const Band& band,
                                      const float* dy_rows) {
  const Rows& rows = it.of_dy;
  const int stride = static_cast<int>(blockDim.x) / rows.pixel;
  double sum = 0;
  for (int run = static_cast<int>(threadIdx.x) / rows.pixel; run < band.rows * it.runs;
       run += stride) {
    const auto place = divide(run, it.by_run);
    const float* dy = dy_rows + place.quotient * rows.pitch +
                      place.remainder * (kRunPixels * rows.pixel + rows.gap) +
                      static_cast<int>(threadIdx.x) % rows.pixel;
    NEURONA_UNROLL
    for (int i = 0; i < kRunPixels; ++i) sum += dy[i * rows.pixel];
  }
  return sum;
}

// The threads' sums of each unit, [tap][output][unit], to `part`: first those of 8 threads side by
// side, then those of the octets.
template <int kTaps, int kOutputs>
__device__ inline void add_threads(const WindowGradient& it, float* memory,
                                   const float (&sums)[kTaps][kOutputs], float* part) {
  constexpr int kSums = kTaps * kOutputs;
  const int threads = static_cast<int>(blockDim.x), own = static_cast<int>(threadIdx.x),
            eights = threads / kLanes;
  float* const of_eights = memory + kSums * threads;
  __syncthreads();
  NEURONA_UNROLL
  for (int i = 0; i < kSums; ++i) memory[i * threads + own] = sums[i / kOutputs][i % kOutputs];
  __syncthreads();
  for (int i = own; i < kSums * eights; i += threads) {
    const auto* fours = reinterpret_cast<const float4*>(memory) + 2 * i;
    const float4 low = fours[0], high = fours[1];
    of_eights[i] = ((low.x + low.y) + (low.z + low.w)) + ((high.x + high.y) + (high.z + high.w));
  }
  __syncthreads();
  for (int i = own; i < kSums * it.units; i += threads) {
    const float* eight = of_eights + i / it.units * eights + i % it.units;
    float sum = *eight;
    for (int octet = 1; octet < it.octets; ++octet) sum += eight[octet * it.units];
    part[i] = sum;
  }
}

template <int kTaps, int kOutputs>
__global__ void __launch_bounds__(kMostThreads, 1) window_gradient_kernel(WindowGradient it) {
  NEURONA_DYNAMIC_SHARED(float4, memory);
  float* const buffers = reinterpret_cast<float*>(memory);
  const int own = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            first_tap = static_cast<int>(blockIdx.x) * it.taps_together;
  // What is never copied is beside the images, or a gradient of none.
  for (int i = own; i < 2 * it.buffer / 4; i += threads) memory[i] = make_float4(0, 0, 0, 0);
  __syncthreads();

  const int unit = own / kLanes % it.units, filter_row = unit / it.channels;
  const Share share{filter_row / it.tiles, filter_row % it.tiles, unit % it.channels,
                    own / kLanes / it.units * kLanes + own % kLanes, it.octets * kLanes};
  const int first = static_cast<int>(blockIdx.y) * it.items_of_slice,
            end = min(it.items, first + it.items_of_slice);
  const bool has_bias = it.db && first_tap == 0;
  float sums[kTaps][kOutputs] = {};
  double bias = 0;
  Band band = band_of(it, first, first_tap);
  wait_for_earlier_kernels();
  begin_item(it, band, buffers);
  commit_copies();
  for (int item = first; item < end; ++item) {
    float* const buffer = buffers + (item - first) % 2 * it.buffer;
    wait_for_copies<0>();
    __syncthreads();
    const Band next = band_of(it, item + 1, first_tap);
    if (item + 1 < end) begin_item(it, next, buffers + (item + 1 - first) % 2 * it.buffer);
    commit_copies();
    add_item(it, band, share, buffer, sums);
    if (has_bias) bias += bias_of_item(it, band, buffer);
    band = next;
  }

  const int64_t slices = gridDim.y, slice = blockIdx.y;
  const int sums_of_block = kTaps * kOutputs * it.units;
  float* const parts = it.parts + blockIdx.x * slices * sums_of_block;
  add_threads(it, buffers, sums, parts + slice * sums_of_block);
  if (has_bias) {
    __syncthreads();
    store_bias_part(it.bias_parts + slice * it.of_dy.pixel, it.of_dy.pixel, bias,
                    reinterpret_cast<double*>(buffers));
  }
  if (!is_last_block(it.counters + blockIdx.x, static_cast<unsigned>(slices))) return;
  for (int i = own; i < sums_of_block; i += threads) {
    const float sum = sum_of_slices(parts, slices, sums_of_block, i);
    const int of_unit = i / it.units, its_unit = i % it.units, s = of_unit / kOutputs,
              row = its_unit / it.channels, r = first_tap + row / it.tiles,
              k = row % it.tiles * kOutputs + of_unit % kOutputs, c = its_unit % it.channels;
    if (k < it.outputs) it.dw[((k * it.channels + c) * it.taps_down + r) * kTaps + s] = sum;
  }
  if (has_bias) store_bias(it.bias_parts, slices, it.of_dy.pixel, it.outputs, it.db);
}

// How rows of `columns` pixels lie in shared memory, each `pixel` floats wide, from first_pixel on.
Rows rows_of_pixels(const float* from, int64_t columns, int64_t channels, int64_t pixel,
                    int64_t first_pixel, int64_t runs_read) {
  const auto is_in = [&](int piece) {
    return channels % piece == 0 && pixel % piece == 0 &&
           reinterpret_cast<uintptr_t>(from) % (piece * sizeof(float)) == 0;
  };
  Rows it{};
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
  const int64_t eights = divide_up(it.rows_of_band * it.runs, kLanes),
                rounds = divide_up(eights, kMostThreads / kLanes / it.units);
  it.octets = static_cast<int>(divide_up(eights, rounds));
}

template <int kTaps, int kOutputs>
bool run(const Conv2dShape& shape, const float* dy, const float* x, float* dw, float* db) {
  constexpr size_t kMostMemory = 96 * 1024;  // which all GPUs since sm_80 have for a block
  const int64_t tiles = divide_up(shape.k, kOutputs), runs = divide_up(shape.q, kRunPixels);
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
  it.of_dy = rows_of_pixels(dy, shape.q, shape.k, tiles * kPadded<kOutputs>, 0, runs);
  // The last run sees up to 4 pixels more; beyond those there may be more of the image.
  const int64_t pixels_read = std::max(runs * kRunPixels + kTaps - 1, shape.w + shape.padding[1]);
  it.of_x = rows_of_pixels(x, shape.w, shape.c, shape.c, shape.padding[1],
                           divide_up(pixels_read, kRunPixels));
  share_out(it);

  const int threads = it.octets * it.units * kLanes;
  it.by_bands = Divisor(it.bands);
  for (Rows* rows : {&it.of_dy, &it.of_x}) {
    rows->across = std::min(rows->pieces, threads);
    rows->down = threads / rows->across;
    rows->by_across = Divisor(rows->across);
  }
  const auto columns = static_cast<unsigned>(it.taps_down / it.taps_together),
             slices = static_cast<unsigned>(divide_up(it.items, it.items_of_slice));
  const size_t added = static_cast<size_t>(kTaps * kOutputs) * (threads + threads / kLanes),
               bytes = std::max(size_t{2} * it.buffer, added) * sizeof(float);
  if (bytes > kMostMemory || columns > kBlockCounters) return false;
  const Workspace parts(static_cast<size_t>(columns * slices * kTaps * kOutputs * it.units) *
                        sizeof(float));
  const Workspace bias_parts(db ? static_cast<size_t>(slices * it.of_dy.pixel) * sizeof(double)
                                : 0);
  it.parts = parts.as<float>();
  it.bias_parts = bias_parts.as<double>();
  it.counters = block_counters();
  launch("conv2d_backward_weight", window_gradient_kernel<kTaps, kOutputs>,
         overlapping({dim3(columns, slices), dim3(static_cast<unsigned>(threads)), bytes}), it);
  return true;
}

template <int kTaps>
bool run_by_outputs(const Conv2dShape& shape, const float* dy, const float* x, float* dw,
                    float* db) {
  if (shape.k <= 4) return run<kTaps, 4>(shape, dy, x, dw, db);
  if (shape.k <= 6) return run<kTaps, 6>(shape, dy, x, dw, db);
  return run<kTaps, 8>(shape, dy, x, dw, db);
}

}  // namespace

bool conv2d_windows_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                    float* dw, float* db) {
  if (!have_windows(shape)) return false;
  if (shape.s == 3) return run_by_outputs<3>(shape, dy, x, dw, db);
  return run_by_outputs<5>(shape, dy, x, dw, db);
}

}  // namespace neurona
