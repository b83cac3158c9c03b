// How a product is cut into tiles, and with too few of them into slices along k.
#pragma once

#include <algorithm>

#include "cuda/device.h"

namespace neurona {

constexpr int kProductThreads = 256;

struct ProductShape {
  int64_t m, n, k, batches;
};

// How a product is cut into blocks.
struct ProductGrid {
  int64_t tiles_m, tiles_n, slices, slice_length;
};

struct BlockPlace {
  int batch, slice, tile_m, tile_n;
};

// Blocks that run at the same time share as many rows of a and of b in L2 as they can: tiles are
// taken in bands of 8 rows, column by column. The number of blocks has 31 bits, and so has all that
// is divided here.
__device__ inline BlockPlace place_of(const ProductGrid& grid, unsigned number) {
  constexpr int64_t kBand = 8;
  const int64_t all_tiles = grid.tiles_m * grid.tiles_n;
  const auto tiles = static_cast<unsigned>(all_tiles), slices = static_cast<unsigned>(grid.slices),
             band_tiles = static_cast<unsigned>(min(kBand * grid.tiles_n, all_tiles));
  const unsigned outer = number / tiles, tile = number % tiles;
  const unsigned first_row = tile / band_tiles * kBand, in_band = tile % band_tiles;
  const auto height = static_cast<unsigned>(min(kBand, grid.tiles_m - first_row));
  return {static_cast<int>(outer / slices), static_cast<int>(outer % slices),
          static_cast<int>(first_row + in_band % height), static_cast<int>(in_band / height)};
}
__device__ inline BlockPlace block_place(const ProductGrid& grid) {
  return place_of(grid, blockIdx.x);
}

// The largest GPU has 132 multiprocessors; fewer tiles than that leave some idle.
constexpr int64_t kEnoughTiles = 132;

// With too few tiles the product is cut along k. To put the slices together should take about 2 us,
// in which a multiprocessor multiplies some 300 elements of k for a small tile (estimates, to be
// measured): less than 512 are not cut, and more into as many slices as there are idle
// multiprocessors, of at least 128. Of the smallest tiles, which 16 groups of threads share, as
// much goes by four times as fast; fewer than 1024 elements are not cut.
constexpr int64_t kShortestCut = 512, kShortestCutOfSmallest = 1024, kCutStep = 32;
inline ProductGrid uncut_grid(const ProductShape& shape, int64_t tile_m, int64_t tile_n) {
  return {divide_up(shape.m, tile_m), divide_up(shape.n, tile_n), 1, shape.k};
}
inline ProductGrid product_grid(const ProductShape& shape, int64_t tile_m, int64_t tile_n) {
  constexpr int64_t kShortestSlice = 128;
  const int64_t shortest_cut = tile_m < kCutStep ? kShortestCutOfSmallest : kShortestCut;
  ProductGrid grid = uncut_grid(shape, tile_m, tile_n);
  const int64_t tiles = grid.tiles_m * grid.tiles_n * shape.batches;
  const int64_t wanted = std::min(kEnoughTiles / tiles, shape.k / kShortestSlice);
  if (wanted > 1 && shape.k >= shortest_cut) {
    grid.slice_length = divide_up(divide_up(shape.k, wanted), kCutStep) * kCutStep;
    grid.slices = divide_up(shape.k, grid.slice_length);
  }
  return grid;
}

// Whether tiles of this size are enough for every multiprocessor.
inline bool enough_tiles(const ProductShape& shape, int64_t tile_m, int64_t tile_n,
                         int64_t enough = kEnoughTiles) {
  return divide_up(shape.m, tile_m) * divide_up(shape.n, tile_n) * shape.batches >= enough;
}

}  // namespace neurona
