// Gradients of filters and biases, of which each block has the sums of a slice of the pixels, and
// the last block those of all.
#pragma once

#include "cuda/device.h"

namespace neurona {

// Of element i: parts [slice][element]. Every fourth slice is added in order, and then the four
// sums: one chain of additions would take half as long as the loads before it.
__device__ inline float sum_of_slices(const float* parts, int64_t slices, int64_t elements,
                                      int64_t i) {
  constexpr int kTogether = 64;  // each round of loads takes as long as the way to L2
  constexpr int kChains = 4;
  float sums[kChains] = {};
  for (int64_t slice = 0; slice < slices; slice += kTogether) {
    float held[kTogether];
    NEURONA_UNROLL
    for (int j = 0; j < kTogether; ++j)
      held[j] = slice + j < slices ? parts[(slice + j) * elements + i] : 0.0f;
    NEURONA_UNROLL
    for (int j = 0; j < kTogether; ++j) sums[j % kChains] += held[j];
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// The gradient of a group's bias, which are sums over the pixels, in double: each thread has those
// of its pixels for output threadIdx.x % outputs. This slice's go to `part`.
__device__ inline void store_bias_part(double* part, int outputs, double own, double* of_threads) {
  of_threads[threadIdx.x] = own;
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= outputs) return;
  double sum = 0;
  for (unsigned i = threadIdx.x; i < blockDim.x; i += outputs) sum += of_threads[i];
  part[threadIdx.x] = sum;
}

// Of all slices, parts [slice][output], a whole warp for each output: lanes take slices, and their
// sums meet in one order. Of the outputs `stored` are stored.
__device__ inline void store_bias(const double* parts, int64_t slices, int64_t outputs,
                                  int64_t stored, float* db) {
  const int lane = threadIdx.x % kWarpSize, warps = static_cast<int>(blockDim.x) / kWarpSize;
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize;
  for (int64_t output = warp; warp < warps && output < stored; output += warps) {
    double sum = 0;
    for (int64_t slice = lane; slice < slices; slice += kWarpSize)
      sum += parts[slice * outputs + output];
    for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
      sum += __shfl_xor_sync(kAllLanes, sum, distance);
    if (lane == 0) db[output] = static_cast<float>(sum);
  }
}

}  // namespace neurona
