#include "ops/affine.h"

#include <algorithm>
#include <cmath>

#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {

bool all_finite(const float* values, int64_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

void affine_sample(int64_t images, int64_t channels, int64_t height, int64_t width, const float* x,
                   const float* matrices, float fill, const float* displacements, float* y) {
  const auto sample_row = kernels().affine.sample_row;
  // A pixel costs about 6 flops for its place and four gathered loads.
  parallel_for(images * channels * height, grain_for(24 * width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / height;
      const int64_t image = plane / channels, row = i % height;
      const float* columns =
          displacements ? displacements + (image * 2 * height + row) * width : nullptr;
      sample_row(x + plane * height * width, height, width, matrices + image * 6, row, fill,
                 columns, columns ? columns + height * width : nullptr, y + i * width);
    }
  });
}

}  // namespace neurona
