// y[n][j][i] = x[n][i][j]: tiles of 32 x 32 elements pass through shared memory, so that reads and
// writes both go along rows. Where x has fewer rows or columns (as images of three channels do),
// tiles have all of them and are longer, so that what a tile holds lies in one piece in x or in y.
#include "ops/reorder.h"

#include <algorithm>

#include "cuda/device.h"
#include "cuda/common/divisor.cuh"

namespace neurona {
namespace {

constexpr int kTile = 32;
constexpr int kTileRows = kBlock / kTile;  // rows of a tile that the block moves at once

// The tiles of all images, row by row.
struct Tiles {
  int64_t rows, columns, down, across;  // the first two of x
  Divisor by_down, by_across;

  Tiles(int64_t all_rows, int64_t all_columns, int64_t tile_rows, int64_t tile_columns)
      : rows(all_rows),
        columns(all_columns),
        down(divide_up(rows, tile_rows)),
        across(divide_up(columns, tile_columns)),
        by_down(down),
        by_across(across) {}

  struct Place {
    int64_t first, down, across;  // element of the image, and which tile of it
  };
  __device__ Place operator[](int64_t number) const {
    const auto row = divide(number, by_across), image = divide(row.quotient, by_down);
    return {image.quotient * rows * columns, image.remainder, row.remainder};
  }
};

__global__ void reorder_kernel(const float* x, int64_t count, Tiles tiles, float* y) {
  wait_for_earlier_kernels();
  constexpr int kOwn = kTile / kTileRows;  // elements of a thread
  // One column more, so that a column's elements lie in different banks.
  NEURONA_SHARED(float, tile, [kTile][kTile + 1]);
  const int64_t rows = tiles.rows, columns = tiles.columns;
  const int lane = threadIdx.x, line = threadIdx.y;
  for (int64_t number = blockIdx.x; number < count; number += gridDim.x) {
    const auto place = tiles[number];
    const int64_t row = place.down * kTile, column = place.across * kTile;
    const float* from = x + place.first + (row + line) * columns + column + lane;
    float* to = y + place.first + (column + line) * rows + row + lane;
    const bool is_whole = row + kTile <= rows && column + kTile <= columns;
    NEURONA_UNROLL
    for (int i = 0; i < kOwn; ++i, from += kTileRows * columns) {
      const int at = line + i * kTileRows;
      if (is_whole || (row + at < rows && column + lane < columns)) tile[at][lane] = *from;
    }
    __syncthreads();
    NEURONA_UNROLL
    for (int i = 0; i < kOwn; ++i, to += kTileRows * rows) {
      const int at = line + i * kTileRows;
      if (is_whole || (column + at < columns && row + lane < rows)) *to = tile[lane][at];
    }
    __syncthreads();  // before the next tile is written
  }
}

// Tiles that hold all rows of x, and so one piece of y, or all columns. In shared memory their rows
// are an odd number of elements apart, so that a column's elements lie in different banks; in x and
// in y tiles begin at multiples of 8 elements, as sectors of memory do.
struct LongTile {
  static constexpr int64_t kSpace = 4096, kSector = 8;
  int rows, columns, pitch;

  LongTile(int64_t all_rows, int64_t all_columns) {
    if (all_rows < kTile) {
      rows = static_cast<int>(all_rows);
      columns =
          static_cast<int>(std::min(all_columns, (kSpace / all_rows - 1) / kSector * kSector));
      pitch = columns | 1;
    } else {
      columns = static_cast<int>(all_columns);
      pitch = columns | 1;
      rows = static_cast<int>(std::min(all_rows, kSpace / pitch / kSector * kSector));
    }
  }
};

// The elements of lines of this length that a thread of the block has, every kBlock-th, without a
// division for each.
struct Walk {
  int length, line, within;

  __device__ explicit Walk(int of_line)
      : length(of_line),
        line(static_cast<int>(threadIdx.x) / length),
        within(static_cast<int>(threadIdx.x) % length),
        lines_(kBlock / length),
        rest_(kBlock % length) {}

  __device__ void go_on() {
    within += rest_;
    const bool is_beyond = within >= length;
    line += lines_ + (is_beyond ? 1 : 0);
    within -= is_beyond ? length : 0;
  }

 private:
  int lines_, rest_;
};

template <bool kAllRows>
__global__ void reorder_long_kernel(const float* x, int64_t count, Tiles tiles, float* y,
                                    LongTile shape) {
  NEURONA_SHARED(float, tile, [LongTile::kSpace]);
  const int pitch = shape.pitch;
  const Walk along_x(shape.columns), along_y(shape.rows);
  int64_t number = blockIdx.x;
  auto place = tiles[number];
  wait_for_earlier_kernels();
  while (true) {
    const int64_t row = place.down * shape.rows, column = place.across * shape.columns;
    const int own_rows = static_cast<int>(min(int64_t{shape.rows}, tiles.rows - row)),
              own_columns = static_cast<int>(min(int64_t{shape.columns}, tiles.columns - column));
    const float* from = x + place.first + row * tiles.columns + column;
    float* to = y + place.first + column * tiles.rows + row;
    // Of x these are own_rows lines of shape.columns, which lie in one piece if they are all; of y
    // own_columns lines of shape.rows.
    Walk at = along_x;
    for (int e = threadIdx.x; e < own_rows * shape.columns; e += kBlock, at.go_on())
      if (at.within < own_columns)
        tile[at.line * pitch + at.within] =
            from[kAllRows ? at.line * tiles.columns + at.within : int64_t{e}];
    __syncthreads();
    at = along_y;
    for (int e = threadIdx.x; e < own_columns * shape.rows; e += kBlock, at.go_on())
      if (at.within < own_rows)
        to[kAllRows ? int64_t{e} : at.line * tiles.rows + at.within] =
            tile[at.within * pitch + at.line];
    number += gridDim.x;
    if (number >= count) break;
    place = tiles[number];
    __syncthreads();  // before the next tile is written
  }
}

template <typename... Arguments>
void launch_tiles(void (*kernel)(const float*, int64_t, Tiles, float*, Arguments...), dim3 threads,
                  const float* x, int64_t n, const Tiles& tiles, float* y,
                  const Arguments&... arguments) {
  const int64_t count = n * tiles.down * tiles.across;
  Launch shape = overlapping(over_elements(count * kBlock));
  shape.threads = threads;
  launch("reorder_images", kernel, shape, x, count, tiles, y, arguments...);
}

}  // namespace

void reorder_images(const float* x, int64_t n, int64_t rows, int64_t columns, float* y) {
  if (n == 0 || rows == 0 || columns == 0) return;
  if (rows >= kTile && columns >= kTile)
    return launch_tiles(reorder_kernel, dim3(kTile, kTileRows), x, n,
                        Tiles(rows, columns, kTile, kTile), y);
  const LongTile tile(rows, columns);
  launch_tiles(rows < kTile ? reorder_long_kernel<true> : reorder_long_kernel<false>, dim3(kBlock),
               x, n, Tiles(rows, columns, tile.rows, tile.columns), y, tile);
}

}  // namespace neurona
