// Sums of gradients times windows: what a block of conv2d_windows_weight.cu does.
//
// A block has one row r of all filters, or all rows where those are few, and a slice of the images,
// in bands of rows. The rows of a band and of its x come by cp.async, while the band before is
// multiplied. A thread has a row of the filters, a channel and 4, 6 or 8 outputs, of which it reads
// 4 pixels side by side: 4 + S - 1 elements and 4 gradients of each output, for 4 x S x outputs
// multiplications. 8 threads side by side have neighbouring runs of pixels, so that gradients are
// read by several threads at once. In the end the threads' sums are added in their order, and by
// the last block those of all slices.
#pragma once

#include <algorithm>
#include <optional>

#include "cuda/conv2d_windows.cuh"
#include "cuda/platform/device_memory.h"
#include "cuda/common/divisor.cuh"
#include "cuda/common/filter_slices.cuh"
#include "cuda/common/last_block.cuh"
#include "cuda/ptx/cp_async.cuh"

namespace neurona {

constexpr int kGradientLanes =
    8;  // threads side by side with runs of their own: 128 bytes of quads

// BandRows of pixels in shared memory, and how they get there. Runs of kRunPixels lie `gap` floats
// apart where that keeps what is copied together aligned, and neighbouring runs in different banks.
struct BandRows {
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
  BandRows of_dy, of_x;

  int runs, rows_of_band, bands, items, items_of_slice, slices;  // an item is a band of an image
  int taps_together;  // rows of the filters that a block has
  int tiles, units;   // of outputs; (row of the filters, tile, channel) of a block
  int octets;         // 8 threads of all units, in a block; a launch may have more threads
  int buffer;         // floats, of dy and x of an item
  Divisor by_bands, by_run;
  float* parts;        // (rows of the filters, slice, sum)
  double* bias_parts;  // (slice, output)
  unsigned* counters;
};

template <int kPiece>
__device__ inline void begin_rows(const BandRows& it, const float* from, int line, int rows,
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

__device__ inline void begin_rows(const BandRows& it, const float* from, int line, int rows,
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
  const float* const dy_rows = buffer + share.tile * padded(kOutputs);
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
  const BandRows& rows = it.of_dy;
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
            eights = threads / kGradientLanes;
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

// What the block of these rows of the filters and this slice does. It waits for earlier kernels
// itself.
template <int kTaps, int kOutputs>
__device__ inline void sum_window_gradient(const WindowGradient& it, int column, int slice,
                                           float4* memory) {
  float* const buffers = reinterpret_cast<float*>(memory);
  const int own = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            first_tap = column * it.taps_together;
  // What is never copied is beside the images, or a gradient of none.
  for (int i = own; i < 2 * it.buffer / 4; i += threads) memory[i] = make_float4(0, 0, 0, 0);
  __syncthreads();

  const int unit = own / kGradientLanes % it.units, filter_row = unit / it.channels;
  const Share share{filter_row / it.tiles, filter_row % it.tiles, unit % it.channels,
                    own / kGradientLanes / it.units * kGradientLanes + own % kGradientLanes,
                    it.octets * kGradientLanes};
  const int first = slice * it.items_of_slice, end = min(it.items, first + it.items_of_slice);
  const bool has_part = own < it.octets * it.units * kGradientLanes;
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
    if (has_part) add_item(it, band, share, buffer, sums);
    if (has_bias) bias += bias_of_item(it, band, buffer);
    band = next;
  }

  const int64_t slices = it.slices;
  const int sums_of_block = kTaps * kOutputs * it.units;
  float* const parts = it.parts + column * slices * sums_of_block;
  add_threads(it, buffers, sums, parts + slice * sums_of_block);
  if (has_bias) {
    __syncthreads();
    store_bias_part(it.bias_parts + slice * it.of_dy.pixel, it.of_dy.pixel, bias,
                    reinterpret_cast<double*>(buffers));
  }
  if (!is_last_block(it.counters + column, static_cast<unsigned>(slices))) return;
  for (int i = own; i < sums_of_block; i += threads) {
    const float sum = sum_of_slices(parts, slices, sums_of_block, i);
    const int of_unit = i / it.units, its_unit = i % it.units, s = of_unit / kOutputs,
              row = its_unit / it.channels, r = first_tap + row / it.tiles,
              k = row % it.tiles * kOutputs + of_unit % kOutputs, c = its_unit % it.channels;
    if (k < it.outputs) it.dw[((k * it.channels + c) * it.taps_down + r) * kTaps + s] = sum;
  }
  if (has_bias) store_bias(it.bias_parts, slices, it.of_dy.pixel, it.outputs, it.db);
}

// A launch of them: threads with so many outputs each. A block's rows of the filters are a column
// of the grid. `it` lacks its memory.
struct WindowGradientLaunch {
  WindowGradient it;
  int taps, outputs_of_thread;
  unsigned columns, threads;

  unsigned blocks() const { return columns * static_cast<unsigned>(it.slices); }
  // Of a block that has so many threads: two items, and then what its threads add.
  size_t bytes(unsigned of_threads) const {
    const size_t added =
        static_cast<size_t>(taps * outputs_of_thread) * (of_threads + of_threads / kGradientLanes);
    return std::max(size_t{2} * it.buffer, added) * sizeof(float);
  }
};

// Nothing where windows do not slide, or need too much memory.
std::optional<WindowGradientLaunch> window_gradient(const Conv2dShape& shape, const float* dy,
                                                    const float* x, float* dw, float* db);

// The memory of a launch, which `it` has as long as this lives.
class WindowGradientMemory {
 public:
  explicit WindowGradientMemory(WindowGradientLaunch& launch)
      : parts_(size_t{launch.blocks()} * launch.taps * launch.outputs_of_thread * launch.it.units *
               sizeof(float)),
        bias_parts_(launch.it.db
                        ? size_t{1} * launch.it.slices * launch.it.of_dy.pixel * sizeof(double)
                        : 0) {
    launch.it.parts = parts_.as<float>();
    launch.it.bias_parts = bias_parts_.as<double>();
    launch.it.counters = block_counters();
  }

 private:
  Workspace parts_, bias_parts_;
};

}  // namespace neurona
