// The tiles of images, and the pixels around one of them.
#pragma once

#include <algorithm>

#include "core/divide.h"
#include "core/prefetch.h"
#include "kernels/winograd.h"
#include "ops/conv2d_slab.h"

namespace neurona {

// Where a tile's first output pixel is.
struct TilePlace {
  int64_t image, row, column;
};

struct TileGrid {
  int64_t batch, height, width;  // of the images that the tiles cover
  int64_t tile;                  // pixels of a tile, in each direction

  int64_t rows() const { return divide_up(height, tile); }
  int64_t columns() const { return divide_up(width, tile); }
  int64_t tiles() const { return batch * rows() * columns(); }
  TilePlace place(int64_t index) const {
    const int64_t line = index / columns();
    return {line / rows(), line % rows() * tile, index % columns() * tile};
  }
};

// Distances that are an odd number of cache lines: 36 stores a power of two apart would meet in one
// set of L1.
inline int64_t spread(int64_t floats) {
  const int64_t lines = divide_up(floats, 16);
  return 16 * (lines + 1 - lines % 2);
}

// Calls transform(data, line, pixel) for the size x size pixels from (row, column) of an image on:
// in place, or copied to `slab` (size x size x channels floats) with zeros for those outside.
template <typename Transform>
void with_patch(const ImageView& image, int64_t row, int64_t column, int64_t size, float* slab,
                const Transform& transform) {
  if (row >= 0 && column >= 0 && row + size <= image.height && column + size <= image.width)
    return transform(image.data + (row * image.width + column) * image.pixel,
                     image.width * image.pixel, image.pixel);
  copy_slab(image, row, size, column, size, slab);
  transform(slab, size * image.channels, image.channels);
}

// Asks for the size x size pixels from (row, column) on, as far as they are inside the image and
// not in the patch `step` columns before. The hardware does not foresee a patch, which takes a few
// lines of each of several rows.
inline void prefetch_patch(const ImageView& image, int64_t row, int64_t column, int64_t size,
                           int64_t step) {
  const int64_t first = column > 0 ? column + size - step : 0,
                last = std::min(column + size, image.width),
                end = std::min(row + size, image.height);
  for (int64_t r = std::max<int64_t>(row, 0); r < end; ++r)
    prefetch(image.data + (r * image.width + first) * image.pixel, (last - first) * image.pixel);
}

// Image `index` of a dense batch that starts with `first`.
inline ImageView image_of_batch(ImageView first, int64_t index) {
  first.data += index * first.height * first.width * first.pixel;
  return first;
}

}  // namespace neurona
