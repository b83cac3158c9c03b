// How an array of rows of channels is cut for sums over its columns: blocks of threads that stand
// side by side along the columns sum a piece of the rows and leave one partial result per column; a
// warp then combines all those of one channel. The cuts depend on the shape alone.
#pragma once

#include "cuda/device.h"

namespace neurona {

constexpr int kTileColumns = kWarpSize, kTileRows = kBlock / kTileColumns;
// Rows that a thread sums: enough to pay for its partial result, and few enough for float32.
constexpr int kFewestRows = 16, kMostRows = 128;
// Rows that are summed before they are added to the sum of the others, for accuracy.
constexpr int kGroupRows = 8;

// Few channels would leave lanes without work. Rows are therefore merged until they are about 128
// wide: each channel then stands in `merged` columns of a wide row. The last wide row may end
// early.
struct WideRows {
  int64_t channels, elements, merged, width, rows, tiles, pieces, piece_rows;

  WideRows(int64_t row_count, int64_t channel_count)
      : channels(channel_count),
        elements(row_count * channels),
        merged(channels <= 64 ? 128 / channels : 1),
        width(channels * merged),
        rows(divide_up(elements, width)),
        tiles(divide_up(width, kTileColumns)) {
    constexpr int64_t kWantedBlocks = 132 * 8;  // fills the largest GPU
    const int64_t possible = divide_up(rows, kTileRows * kFewestRows),
                  wanted = divide_up(kWantedBlocks, tiles),
                  needed = divide_up(rows, kTileRows * kMostRows);
    pieces = possible < wanted ? possible : wanted < needed ? needed : wanted;
    if (pieces < 1) pieces = 1;
    piece_rows = divide_up(rows, pieces * kTileRows) * kTileRows;
  }

  // Partial results, those of a column one behind the other.
  int64_t partials() const { return width * pieces; }

  Launch summing() const {
    return {dim3(static_cast<unsigned>(tiles * pieces)), dim3(kTileColumns, kTileRows)};
  }
  Launch combining() const {
    constexpr int kWarps = kBlock / kWarpSize;
    return {dim3(static_cast<unsigned>(divide_up(channels, kWarps))), dim3(kWarpSize, kWarps)};
  }
};

// What a thread of a summing kernel sums: the elements first + i step for i < count, of `column`.
struct ThreadRows {
  int64_t piece, column, first, step;
  int count;

  __device__ explicit ThreadRows(const WideRows& wide) {
    const auto tiles = static_cast<unsigned>(wide.tiles);
    piece = blockIdx.x / tiles;
    column = static_cast<int64_t>(blockIdx.x % tiles) * kTileColumns + threadIdx.x;
    // Whole rows reach all columns, the last one perhaps not.
    const int64_t reaching =
        column < wide.width ? (wide.elements - column + wide.width - 1) / wide.width : 0;
    const int64_t begin = piece * wide.piece_rows + threadIdx.y,
                  end = min(reaching, (piece + 1) * wide.piece_rows);
    first = begin * wide.width + column;
    step = kTileRows * wide.width;
    count = begin < end ? static_cast<int>((end - begin + kTileRows - 1) / kTileRows) : 0;
  }

  // Where the block's result for the column belongs.
  __device__ int64_t partial(const WideRows& wide) const { return column * wide.pieces + piece; }
};

// The channel of a warp of a combining kernel, and its partial results.
struct WarpChannel {
  int64_t channel, partials;

  __device__ explicit WarpChannel(const WideRows& wide)
      : channel(static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y),
        partials(wide.merged * wide.pieces) {}

  __device__ int64_t partial(const WideRows& wide, int64_t k) const {
    return (channel + k / wide.pieces * wide.channels) * wide.pieces + k % wide.pieces;
  }
};

}  // namespace neurona
