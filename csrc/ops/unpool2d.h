// Enlarged maps that are 0 but for the values of a smaller one: bed of nails and max unpooling.
// Nothing is computed, so there is one version for all ISAs.
//
// x (images, H, W, channels) in memory, so that planes of C order are images of one channel.
// Outputs are overwritten.
#pragma once

#include <array>
#include <cstdint>

namespace neurona {

// y (images, H kh, W kw, channels): x at the top left corners of kh x kw blocks.
void bed_of_nails_forward(int64_t images, const std::array<int64_t, 2>& size, int64_t channels,
                          const std::array<int64_t, 2>& block, const float* x, float* y);

// y[n, indices[n, i, c], c] = x[n, i, c] for images of `pixels` pixels, y having `places` of them;
// the last of several values for one place stays. Both return whether all indices are in [0,
// places); if not, the output is of no use.
bool max_unpool2d_forward(int64_t images, int64_t pixels, int64_t channels, int64_t places,
                          const float* x, const int64_t* indices, float* y);
bool max_unpool2d_backward(int64_t images, int64_t pixels, int64_t channels, int64_t places,
                           const float* dy, const int64_t* indices, float* dx);

struct IndexRange {
  int64_t smallest, largest;
};

// Of at least one index.
IndexRange index_range(const int64_t* indices, int64_t count);

}  // namespace neurona
