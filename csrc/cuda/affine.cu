// y[v, u] = the image at (x, y) = m (u, v, 1) + displacement[v, u], mixed from the four pixels
// around it, with (u, v) and (x, y) measured from the image's centre; pixels outside are `fill`. y
// is overwritten.
//
// A thread computes a place once for all channels of its image.
#include "ops/affine.h"

#include "cuda/common/flag.cuh"
#include "cuda/common/places.cuh"

namespace neurona {
namespace {

__global__ void find_infinite_kernel(const float* values, int64_t count, int* flag) {
  for (int64_t i = first_element(); i < count; i += element_stride())
    if (!isfinite(values[i])) raise(flag);
}

// The two pixels of an axis around a position, and the second one's share.
struct Pair {
  int first;
  float share;
};

// The image and two pixels around it are looked at; beyond that all four pixels are outside anyway.
// NaN, of an overflow, is outside too.
__device__ inline Pair pair_at(float position, int64_t size) {
  const float high = static_cast<float>(size);
  position = position > -2.0f ? position : -2.0f;
  position = position < high ? position : high;
  const float whole = floorf(position);
  return {static_cast<int>(whole), position - whole};
}

struct Image {
  const float* data;
  int height, width;
  float fill;

  __device__ float at(int row, int column) const {
    const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(height) &&
                        static_cast<unsigned>(column) < static_cast<unsigned>(width);
    return inside ? data[row * width + column] : fill;
  }
  __device__ float mixed(const Pair& line, const Pair& column) const {
    const float a = at(line.first, column.first), b = at(line.first, column.first + 1),
                c = at(line.first + 1, column.first), d = at(line.first + 1, column.first + 1);
    const float upper = fmaf(column.share, b - a, a), lower = fmaf(column.share, d - c, c);
    return fmaf(line.share, lower - upper, upper);
  }
};

// `displacements`, which may be null: columns, then rows, of each image.
__global__ void sample_kernel(Places places, int64_t count, int64_t channels, Image shape,
                              const float* x, const float* matrices, const float* displacements,
                              float* y) {
  const int64_t pixels = static_cast<int64_t>(shape.height) * shape.width;
  const float centre_x = static_cast<float>(shape.width - 1) / 2,
              centre_y = static_cast<float>(shape.height - 1) / 2;
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Place place = places[i];
    const float* m = matrices + place.image * 6;
    const float u = static_cast<float>(place.column) - centre_x,
                v = static_cast<float>(place.row) - centre_y;
    float column = fmaf(u, m[0], v * m[1]) + m[2] + centre_x,
          line = fmaf(u, m[3], v * m[4]) + m[5] + centre_y;
    const int64_t within = place.row * shape.width + place.column;
    if (displacements) {
      column += displacements[place.image * 2 * pixels + within];
      line += displacements[(place.image * 2 + 1) * pixels + within];
    }
    const Pair across = pair_at(column, shape.width), down = pair_at(line, shape.height);
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t plane = (place.image * channels + c) * pixels;
      const Image image{x + plane, shape.height, shape.width, shape.fill};
      y[plane + within] = image.mixed(down, across);
    }
  }
}

}  // namespace

bool all_finite(const float* values, int64_t count) {
  const Flag found;
  launch("all_finite", find_infinite_kernel, over_elements(count), values, count, found.get());
  return !found.is_raised();
}

void affine_sample(int64_t images, int64_t channels, int64_t height, int64_t width, const float* x,
                   const float* matrices, float fill, const float* displacements, float* y) {
  const Image shape{nullptr, static_cast<int>(height), static_cast<int>(width), fill};
  const int64_t count = images * height * width;
  launch("affine_sample", sample_kernel, over_elements(count), Places(height, width, 1), count,
         channels, shape, x, matrices, displacements, y);
}

}  // namespace neurona
