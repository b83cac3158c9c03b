// Enlarged maps that are 0 but for the values of a smaller one: bed of nails and max unpooling.
// Nothing is computed but where values go: only windows of 2 x 2 pixels, which are read and filled
// by whole vectors, have a version for each ISA (kernels/unpool.h).
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

// Max unpooling: `images` of thin size (P, Q) and of wide size (H, W).
struct UnpoolShape {
  int64_t images, channels;
  std::array<int64_t, 2> thin, wide;

  int64_t pixels() const { return thin[0] * thin[1]; }
  int64_t places() const { return wide[0] * wide[1]; }
};

// y[n, indices[n, i, c], c] = x[n, i, c] for the thin pixels i; the last of several values for one
// place stays. Both return whether all indices are in [0, places); if not, the output is of no use.
bool max_unpool2d_forward(const UnpoolShape& shape, const float* x, const int64_t* indices,
                          float* y);
bool max_unpool2d_backward(const UnpoolShape& shape, const float* dy, const int64_t* indices,
                           float* dx);

struct IndexRange {
  int64_t smallest, largest;
};

// Of at least one index.
IndexRange index_range(const int64_t* indices, int64_t count);

}  // namespace neurona
