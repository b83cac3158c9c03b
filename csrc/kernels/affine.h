// Affine maps of images, a row of the result at a time; see ops/affine.h.
#pragma once

#include <stdint.h>

namespace neurona {

struct AffineKernels {
  // Row `row` of one image (height, width), at most 2^31 - 1 pixels; `matrix` is 2 x 3.
  void (*sample_row)(const float* image, int64_t height, int64_t width, const float* matrix,
                     int64_t row, float fill, float* y);
};

}  // namespace neurona
