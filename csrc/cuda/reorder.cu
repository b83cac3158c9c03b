// y[n][j][i] = x[n][i][j]: tiles of 32 x 32 elements pass through shared memory, so that reads and
// writes both go along rows.
#include "ops/reorder.h"

#include "cuda/device.h"

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

}  // namespace

void reorder_images(const float* x, int64_t n, int64_t rows, int64_t columns, float* y) {
  const int64_t tiles = n * divide_up(rows, kTile) * divide_up(columns, kTile);
  Launch shape = overlapping(over_elements(tiles * kBlock));
  shape.threads = dim3(kTile, kTileRows);
  launch("reorder_images", reorder_kernel, shape, x, n, rows, columns, y);
}

}  // namespace neurona
