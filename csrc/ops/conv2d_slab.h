// A slab: some rows of one image with its zero padding written out, so that inner loops need no
// border tests.
#pragma once

#include <cstdint>
#include <cstring>

namespace neurona {

// An NHWC image of which `channels` of each `pixel` floats are used.
struct ImageView {
  const float* data;
  int64_t height, width, pixel, channels;
};

// Rows [first_row, first_row + rows) and columns [first_column, first_column + columns) of the
// image, any of which may lie outside and then are zero, to target[row][column][channel], dense.
inline void copy_slab(const ImageView& image, int64_t first_row, int64_t rows, int64_t first_column,
                      int64_t columns, float* target) {
  const int64_t left = first_column < 0 ? (-first_column < columns ? -first_column : columns) : 0;
  int64_t inside = (image.width < first_column + columns ? image.width : first_column + columns) -
                   (first_column + left);
  if (inside < 0) inside = 0;
  const int64_t right = columns - left - inside, line = columns * image.channels;
  for (int64_t i = 0; i < rows; ++i, target += line) {
    const int64_t row = first_row + i;
    if (row < 0 || row >= image.height) {
      std::memset(target, 0, sizeof(float) * line);
      continue;
    }
    float* out = target;
    std::memset(out, 0, sizeof(float) * left * image.channels);
    out += left * image.channels;
    const float* in = image.data + (row * image.width + first_column + left) * image.pixel;
    if (image.channels == image.pixel) {
      std::memcpy(out, in, sizeof(float) * inside * image.channels);
    } else {
      for (int64_t j = 0; j < inside; ++j)
        std::memcpy(out + j * image.channels, in + j * image.pixel, sizeof(float) * image.channels);
    }
    std::memset(out + inside * image.channels, 0, sizeof(float) * right * image.channels);
  }
}

}  // namespace neurona
