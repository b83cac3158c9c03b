// What the files of conv2d_windows have in common: a thread's pixels lie side by side, and its
// outputs, 4, 6 or 8, are a tile.
#pragma once

#include <type_traits>

#include "core/conv2d_shape.h"
#include "cuda/device.h"

namespace neurona {

constexpr int kRunPixels = 4;
constexpr int kMostWindowThreads = 256;
constexpr size_t kMostWindowMemory = 96 * 1024;  // which all GPUs since sm_80 have for a block

constexpr int outputs_of_thread(int64_t outputs) { return outputs <= 4 ? 4 : outputs <= 6 ? 6 : 8; }

// What a tile of outputs takes in shared memory: 6 are read as four and two.
__host__ __device__ constexpr int padded(int outputs) { return outputs == 6 ? 8 : outputs; }

// body(columns of the filters, outputs of a thread), as constants.
template <typename Body>
void with_tile(int64_t columns, int outputs, const Body& body) {
  const auto with_outputs = [&](auto taps) {
    if (outputs == 4) return body(taps, std::integral_constant<int, 4>());
    if (outputs == 6) return body(taps, std::integral_constant<int, 6>());
    body(taps, std::integral_constant<int, 8>());
  };
  if (columns == 3) return with_outputs(std::integral_constant<int, 3>());
  with_outputs(std::integral_constant<int, 5>());
}

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
