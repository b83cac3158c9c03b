// What the two files of conv2d_windows have in common: a thread's pixels lie side by side, and its
// outputs, 4, 6 or 8, are a tile.
#pragma once

#include "core/conv2d_shape.h"
#include "cuda/device.h"

namespace neurona {

constexpr int kRunPixels = 4;

// What a tile of outputs takes in shared memory: 6 are read as four and two.
template <int kOutputs>
constexpr int kPadded = kOutputs == 6 ? 8 : kOutputs;

// Whether windows slide: with stride 1 and filters of 3 or 5 columns, and where rows of images and
// of filters are no longer than shared memory holds of any, so that places there are small numbers.
inline bool have_windows(const Conv2dShape& shape) {
  constexpr int64_t kMostColumns = 1024, kMostTapsDown = 64;
  return shape.stride[0] * shape.stride[1] * shape.dilation[0] * shape.dilation[1] * shape.groups ==
             1 &&
         (shape.s == 3 || shape.s == 5) && shape.r <= kMostTapsDown && shape.w <= kMostColumns &&
         shape.q <= kMostColumns;
}

// With as few instructions as the number of floats allows.
template <int kCount>
__device__ inline void read_wide(const float* from, float (&to)[kCount]) {
  NEURONA_UNROLL
  for (int i = 0; i + 4 <= kCount; i += 4) {
    const float4 four = *reinterpret_cast<const float4*>(from + i);
    to[i] = four.x, to[i + 1] = four.y, to[i + 2] = four.z, to[i + 3] = four.w;
  }
  if constexpr (kCount == 1) to[0] = *from;
  if constexpr (kCount % 4 == 2) {
    const float2 two = *reinterpret_cast<const float2*>(from + kCount - 2);
    to[kCount - 2] = two.x, to[kCount - 1] = two.y;
  }
}

}  // namespace neurona
