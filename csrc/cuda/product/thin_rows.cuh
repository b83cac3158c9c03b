// The sums of a product one of whose operands has few lines: "thin rows", up to 16, beside the
// lines of a matrix. To read that once is what takes the time. Its elements come with loads of 16
// bytes where they lie so, 8 to 16 of them under way in each thread, and are multiplied with all
// thin rows. They go to registers and not by way of shared memory, for no two threads need the same
// one; the thin rows, which all need, come there by cp.async.
//
// Which lines a thread has sums of, and who adds what other threads have of the same sums, depends
// on how the matrix lies:
//
//   along the depth    4 or 8 lines are a warp's, whose lanes have 4 neighbouring depths each. The
//                      warps of a block walk along the depth together, and share the thin rows.
//   across it          4 neighbouring lines are a lane's, and 128 those of every warp of a block;
//                      a warp walks along a piece of the depth with thin rows of its own.
#pragma once

#include "cuda/device.h"
#include "cuda/product/product_grid.cuh"
#include "cuda/ptx/cp_async.cuh"

namespace neurona {

// Row i, element k at data[i * row_stride + k * depth_stride].
struct ThinRows {
  const float* data;
  int count;
  int64_t row_stride, depth_stride;
  bool in_fours;  // whether 4 neighbours along the depth lie together, at multiples of 16 bytes

  __device__ const float* address(int row, int64_t k) const {
    return data + row * row_stride + k * depth_stride;
  }
  // Begins to copy kCount neighbours to shared memory: zeros if they are not there.
  template <int kCount>
  __device__ void begin_to_copy(float* to, const float* from, bool are_there) const {
    begin_copy<kCount* static_cast<int>(sizeof(float))>(to, are_there ? from : data, are_there);
  }
};

// The depths of a slice, or of a piece of it, that are walked in steps of kStep: the first step may
// have fewer, so that nothing is asked about those that are loaded while others are multiplied. A
// depth's place is counted from the beginning of that step: places below `missing` do not exist.
template <int kStep>
struct ThinSteps {
  int64_t first_k;
  int count, missing;

  __device__ ThinSteps(int64_t begin, int64_t end)
      : count(static_cast<int>((end - begin + kStep - 1) / kStep)) {
    first_k = end - int64_t{count} * kStep;
    missing = static_cast<int>(begin - first_k);
  }
  __device__ bool has(int place) const { return missing <= place && place < count * kStep; }
};

// Of the matrix.
struct FourElements {
  float at[4];
};

constexpr int kThinWarps = kProductThreads / kWarpSize;
__device__ inline int thin_warp() { return static_cast<int>(threadIdx.x) / kWarpSize; }
__device__ inline int thin_lane() { return static_cast<int>(threadIdx.x) % kWarpSize; }

// Which of 4 x 32 neighbours the lane loads with kWidth at once: 4 in a row, or one of each 32.
template <int kWidth>
__device__ inline int own_neighbour(int j) {
  return kWidth == 4 ? 4 * thin_lane() + j : thin_lane() + j * kWarpSize;
}

}  // namespace neurona
