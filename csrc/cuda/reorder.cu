// y[n][j][i] = x[n][i][j]: tiles of 32 x 32 elements pass through shared memory, so that reads and
// writes both go along rows. Where x has fewer rows or columns (as images of three channels do),
// tiles have all of them and are longer, so that what a tile holds lies in one piece in x or in y.
#include "ops/reorder.h"

#include <algorithm>

#include "cuda/device.h"
#include "cuda/divisor.cuh"

namespace neurona {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = kBlock / kTile;  // rows of a tile that the block moves at once

__global__ void reorder_kernel(const float* x, int64_t n, int64_t rows, int64_t columns, float* y) {
  wait_for_earlier_kernels();
  // One column more, so that a column's elements lie in different banks.
  NEURONA_SHARED(float, tile, [kTile][kTile + 1]);
  const int64_t down = (rows + kTile - 1) / kTile, across = (columns + kTile - 1) / kTile;
  for (int64_t task = blockIdx.x; task < n * down * across; task += gridDim.x) {
    const int64_t rest = task / across, image = rest / down;
    const int64_t row = (rest - image * down) * kTile, column = (task - rest * across) * kTile;
    const float* from = x + image * rows * columns;
    float* to = y + image * rows * columns;
    for (int i = threadIdx.y; i < kTile; i += kTileRows)
      if (row + i < rows && column + threadIdx.x < columns)
        tile[i][threadIdx.x] = from[(row + i) * columns + column + threadIdx.x];
    __syncthreads();
    for (int j = threadIdx.y; j < kTile; j += kTileRows)
      if (column + j < columns && row + threadIdx.x < rows)
        to[(column + j) * rows + row + threadIdx.x] = tile[threadIdx.x][j];
    __syncthreads();  // before the next tile is written
  }
}

// Tiles that hold all rows of x, or all columns. In shared memory their rows are an odd number of
// elements apart, so that a column's elements lie in different banks; in x and in y tiles begin at
// multiples of 8 elements, as sectors of memory do.
struct LongTiles {
  static constexpr int64_t kSpace = kTile * (kTile + 1), kSector = 8;
  int64_t rows, columns;  // of x
  int tile_rows, tile_columns, pitch;
  Divisor by_rows, by_columns;  // of a tile

  LongTiles(int64_t all_rows, int64_t all_columns) : rows(all_rows), columns(all_columns) {
    if (rows < kTile) {
      tile_rows = static_cast<int>(rows);
      tile_columns = static_cast<int>(std::min(columns, (kSpace / rows - 1) / kSector * kSector));
      pitch = tile_columns | 1;
    } else {
      tile_columns = static_cast<int>(columns);
      pitch = tile_columns | 1;
      tile_rows = static_cast<int>(std::min(rows, kSpace / pitch / kSector * kSector));
    }
    by_rows = Divisor(tile_rows);
    by_columns = Divisor(tile_columns);
  }
  __host__ __device__ int64_t down() const { return (rows + tile_rows - 1) / tile_rows; }
  __host__ __device__ int64_t across() const { return (columns + tile_columns - 1) / tile_columns; }
};

__global__ void reorder_long_kernel(const float* x, int64_t n, LongTiles tiles, float* y) {
  wait_for_earlier_kernels();
  NEURONA_SHARED(float, tile, [LongTiles::kSpace]);
  const int64_t down = tiles.down(), across = tiles.across();
  const int elements = tiles.tile_rows * tiles.tile_columns, pitch = tiles.pitch;
  for (int64_t task = blockIdx.x; task < n * down * across; task += gridDim.x) {
    const int64_t rest = task / across, image = rest / down;
    const int64_t row = (rest - image * down) * tiles.tile_rows,
                  column = (task - rest * across) * tiles.tile_columns;
    const float* from = x + image * tiles.rows * tiles.columns;
    float* to = y + image * tiles.rows * tiles.columns;
    for (int e = threadIdx.x; e < elements; e += kBlock) {
      const auto [i, j] = divide(e, tiles.by_columns);
      if (row + i < tiles.rows && column + j < tiles.columns)
        tile[i * pitch + j] = from[(row + i) * tiles.columns + column + j];
    }
    __syncthreads();
    for (int e = threadIdx.x; e < elements; e += kBlock) {
      const auto [j, i] = divide(e, tiles.by_rows);
      if (row + i < tiles.rows && column + j < tiles.columns)
        to[(column + j) * tiles.rows + row + i] = tile[i * pitch + j];
    }
    __syncthreads();  // before the next tile is written
  }
}

}  // namespace

void reorder_images(const float* x, int64_t n, int64_t rows, int64_t columns, float* y) {
  if (n == 0 || rows == 0 || columns == 0) return;
  if (rows < kTile || columns < kTile) {
    const LongTiles tiles(rows, columns);
    const int64_t blocks = n * tiles.down() * tiles.across();
    return launch("reorder_images", reorder_long_kernel,
                  overlapping(over_elements(blocks * kBlock)), x, n, tiles, y);
  }
  const int64_t tiles = n * divide_up(rows, kTile) * divide_up(columns, kTile);
  Launch shape = overlapping(over_elements(tiles * kBlock));
  shape.threads = dim3(kTile, kTileRows);
  launch("reorder_images", reorder_kernel, shape, x, n, rows, columns, y);
}

}  // namespace neurona
