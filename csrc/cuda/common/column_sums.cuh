// Sums of a matrix's columns in double, by a block: kColumns of them, neighbouring threads taking
// neighbouring columns and its lanes every so many rows.
#pragma once

#include "cuda/device.h"

namespace neurona {

// The sum over the lanes of a column, thread by thread of lane 0; lanes lie kColumns threads apart.
// Waits for the whole block; between two calls somebody else must. `of_warp` is shared memory.
template <int kColumns>
using ColumnSumsOfWarps = double[kBlock / kWarpSize][kColumns];
template <int kColumns>
__device__ inline double sum_of_lanes(double sum, ColumnSumsOfWarps<kColumns>& of_warp) {
  constexpr int kWarps = kBlock / kWarpSize;
  for (int distance = kWarpSize / 2; distance >= kColumns; distance /= 2)
    sum += __shfl_xor_sync(kAllLanes, sum, distance);
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  if (lane < kColumns) of_warp[warp][lane] = sum;
  __syncthreads();
  if (threadIdx.x < kColumns) {
    sum = 0;
    for (int i = 0; i < kWarps; ++i) sum += of_warp[i][threadIdx.x];
  }
  return sum;
}

// x[first], x[first + step], .. before x[end]. Eight are asked for before the first is added: a
// thread has few of them, and each is far away.
template <typename Element>
__device__ inline double sum_of_steps(const Element* x, int64_t first, int64_t end, int64_t step,
                                      int64_t stride) {
  constexpr int kTogether = 8;
  double sum = 0;
  int64_t i = first;
  for (; i + (kTogether - 1) * step < end; i += kTogether * step) {
    Element elements[kTogether];
    NEURONA_UNROLL
    for (int k = 0; k < kTogether; ++k) elements[k] = x[(i + k * step) * stride];
    NEURONA_UNROLL
    for (int k = 0; k < kTogether; ++k) sum += elements[k];
  }
  for (; i < end; i += step) sum += x[i * stride];
  return sum;
}

struct Rows {
  const float* x;
  int64_t rows, columns, stride;
};

}  // namespace neurona
