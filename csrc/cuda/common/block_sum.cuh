// Sums over the threads of a warp and of a block, always in the same order.
#pragma once

#include "cuda/device.h"

namespace neurona {

// The sum of `value` over the lanes of a whole warp, in every lane: partners 16, 8, 4, 2 and 1
// apart add up.
template <typename T>
__device__ inline T warp_sum(T value) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// The sum of `value` over the kThreads threads of a block of one dimension, in every thread. Waits
// for the whole block, twice.
template <int kThreads, typename T>
__device__ inline T block_sum(T value) {
  static_assert(kThreads % kWarpSize == 0, "a block must hold whole warps");
  constexpr int kWarps = kThreads / kWarpSize;
  NEURONA_SHARED(T, partial, [kWarps]);
  value = warp_sum(value);
  if (threadIdx.x % kWarpSize == 0) partial[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  T total = partial[0];
  for (int warp = 1; warp < kWarps; ++warp) total += partial[warp];
  __syncthreads();  // before the next call writes
  return total;
}

}  // namespace neurona
