// How an array of rows of channels is cut for sums over its columns: blocks of threads that stand
// side by side along the columns, with four or one each, sum a piece of the rows and leave one
// partial result per column; a warp then combines all those of one channel. The cuts depend on the
// shape alone.
#pragma once

#include <initializer_list>

#include "cuda/device.h"
#include "cuda/common/lanes.cuh"

namespace neurona {

constexpr int kTileThreads = kWarpSize, kTileRows = kBlock / kTileThreads;
// Rows that a thread sums: enough to pay for its partial result, and few enough for float32.
constexpr int kFewestRows = 16, kMostRows = 128;
// Rows that are summed before they are added to the sum of the others, for accuracy.
constexpr int kGroupRows = 8;
// Of a block of a combining kernel.
constexpr int kCombiningWarps = kBlock / kWarpSize;

// Few channels would leave lanes without work. Rows are therefore merged until they are about 128
// wide: each channel then stands in `merged` columns of a wide row. The last wide row may end
// early.
struct WideRows {
  int64_t channels, elements, merged, width, rows;
  int64_t lanes;  // columns of a thread: four end where a row ends only if channels do
  int64_t tiles, pieces, piece_rows;

  WideRows(int64_t row_count, int64_t channel_count)
      : channels(channel_count),
        elements(row_count * channels),
        merged(channels <= 64 ? 128 / channels : 1),
        width(channels * merged),
        rows(divide_up(elements, width)),
        lanes(channels % 4 == 0 ? 4 : 1),
        tiles(divide_up(width, kTileThreads * lanes)) {
    // Fills the largest GPU: threads of four columns take so many registers that three blocks share
    // a multiprocessor. More pieces would only be more partial results.
    const int64_t wanted_blocks = 132 * (lanes == 4 ? 3 : 8);
    const int64_t possible = divide_up(rows, kTileRows * kFewestRows),
                  wanted = divide_up(wanted_blocks, tiles),
                  needed = divide_up(rows, kTileRows * kMostRows);
    pieces = possible < wanted ? possible : wanted < needed ? needed : wanted;
    if (pieces < 1) pieces = 1;
    piece_rows = divide_up(rows, pieces * kTileRows) * kTileRows;
  }

  // Partial results, those of a column one behind the other.
  int64_t partials() const { return width * pieces; }

  Launch summing() const {
    return {dim3(static_cast<unsigned>(tiles * pieces)), dim3(kTileThreads, kTileRows)};
  }
  // Warps that combine the partial results of a channel. Each thread reads its own one after the
  // other: of many it takes a whole block, or the kernel, which does little else, would be long.
  int combining_warps() const { return merged * pieces > 4 * kWarpSize ? kCombiningWarps : 1; }
  Launch combining() const {
    return {dim3(static_cast<unsigned>(divide_up(channels * combining_warps(), kCombiningWarps))),
            dim3(kWarpSize, kCombiningWarps)};
  }
};

// Calls body with a value of what a thread loads at once from arrays of these channels.
template <typename Body>
void with_items(const WideRows& wide, std::initializer_list<const void*> arrays, const Body& body) {
  if (wide.lanes == 1)
    body(Lanes<float, 1>{});
  else if (are_aligned(arrays))
    body(Lanes<float, 4>{});
  else
    body(LooseLanes{});
}

// What a thread of a summing kernel sums: the items first + i step for i < count, whose columns
// begin with `column`.
template <typename Item>
struct ThreadRows {
  static constexpr int kTileColumns = kTileThreads * Item::kLanes;
  int64_t piece, column, first, step;
  int count;

  __device__ explicit ThreadRows(const WideRows& wide) {
    const auto tiles = static_cast<unsigned>(wide.tiles);
    piece = blockIdx.x / tiles;
    column = static_cast<int64_t>(blockIdx.x % tiles) * kTileColumns + threadIdx.x * Item::kLanes;
    // Whole rows reach all columns, the last one perhaps not.
    const int64_t reaching =
        column < wide.width ? (wide.elements - column + wide.width - 1) / wide.width : 0;
    const int64_t begin = piece * wide.piece_rows + threadIdx.y,
                  end = min(reaching, (piece + 1) * wide.piece_rows);
    first = (begin * wide.width + column) / Item::kLanes;
    step = kTileRows * wide.width / Item::kLanes;
    count = begin < end ? static_cast<int>((end - begin + kTileRows - 1) / kTileRows) : 0;
  }
};

// Adds up what the threads above each other have for a column, by merged(a, b), and leaves it with
// the partial results: each of the block's columns is the business of one thread.
template <typename Item, typename Result, typename Merge>
__device__ inline void leave_partials(const WideRows& wide, const ThreadRows<Item>& rows,
                                      const Result (&own)[Item::kLanes], const Merge& merge,
                                      Result* partials) {
  constexpr int kTileColumns = ThreadRows<Item>::kTileColumns;
  NEURONA_SHARED(Result, parts, [kTileRows][kTileColumns]);
  NEURONA_UNROLL
  for (int lane = 0; lane < Item::kLanes; ++lane)
    parts[threadIdx.y][threadIdx.x * Item::kLanes + lane] = own[lane];
  __syncthreads();
  const int in_tile = static_cast<int>(threadIdx.y) * kTileThreads + static_cast<int>(threadIdx.x);
  const int64_t column = rows.column - static_cast<int64_t>(threadIdx.x) * Item::kLanes + in_tile;
  if (in_tile >= kTileColumns || column >= wide.width) return;
  Result result = parts[0][in_tile];
  for (int row = 1; row < kTileRows; ++row) result = merge(result, parts[row][in_tile]);
  partials[column * wide.pieces + rows.piece] = result;
}

// The channel of a thread of a combining kernel, and its partial results: first, first + step, ...
struct CombinedChannel {
  int warps;  // of a channel
  int64_t channel, first, step, end;

  __device__ CombinedChannel(const WideRows& wide, int warps_of_channel)
      : warps(warps_of_channel),
        channel((static_cast<int64_t>(blockIdx.x) * kCombiningWarps + threadIdx.y) / warps),
        first(static_cast<int64_t>(threadIdx.y) % warps * kWarpSize + threadIdx.x),
        step(warps * kWarpSize),
        end(channel < wide.channels ? wide.merged * wide.pieces : 0) {}

  __device__ int64_t partial(const WideRows& wide, int64_t k) const {
    const auto number = static_cast<unsigned>(k), pieces = static_cast<unsigned>(wide.pieces);
    return (channel + number / pieces * wide.channels) * wide.pieces + number % pieces;
  }

  // Those of the warps, of which each first lane has one, by merged(a, b); true in one thread of
  // each channel that there is, which has the result. Every thread of the block asks for it.
  template <typename Result, typename Merge>
  __device__ bool combine(Result& own, const Merge& merge) const {
    NEURONA_SHARED(Result, of_warp, [kCombiningWarps]);
    const int warp = threadIdx.y;
    if (threadIdx.x == 0) of_warp[warp] = own;
    __syncthreads();
    if (threadIdx.x != 0 || warp % warps != 0 || end == 0) return false;
    for (int i = 1; i < warps; ++i) own = merge(own, of_warp[warp + i]);
    return true;
  }
};

}  // namespace neurona
