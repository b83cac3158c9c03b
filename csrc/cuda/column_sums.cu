// sums[j] = sum over rows of x[i * stride + j]: bias gradients, in double. A block sums a stretch
// of rows for 8, 16 or 32 columns, neighbouring threads taking neighbouring columns and its lanes
// every so many rows. The last block of some columns adds the stretches in order.
#include <algorithm>

#include "cuda/device.h"
#include "cuda/device_memory.h"
#include "cuda/last_block.cuh"
#include "ops/gemm.h"

namespace neurona {
namespace {

// The sum over the lanes of a column, thread by thread of lane 0; lanes lie kColumns threads apart.
// Waits for the whole block; between two calls somebody else must.
template <int kColumns>
__device__ double sum_of_lanes(double sum) {
  constexpr int kWarps = kBlock / kWarpSize;
  NEURONA_SHARED(double, of_warp, [kWarps][kColumns]);
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
__device__ double sum_of_steps(const Element* x, int64_t first, int64_t end, int64_t step,
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

template <int kColumns>
__global__ void column_sums_kernel(Rows matrix, int64_t rows_of_stretch, double* parts,
                                   unsigned* counters, float* sums) {
  wait_for_earlier_kernels();
  constexpr int kLanes = kBlock / kColumns;
  const int lane = threadIdx.x / kColumns;
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x % kColumns,
                columns = matrix.columns;
  const bool is_column = column < columns;
  const int64_t first = blockIdx.y * rows_of_stretch,
                end = min(matrix.rows, first + rows_of_stretch);
  double sum = 0;
  if (is_column)
    sum = sum_of_steps(matrix.x + column, first + lane, end, int64_t{kLanes}, matrix.stride);
  sum = sum_of_lanes<kColumns>(sum);
  if (gridDim.y > 1) {
    if (lane == 0 && is_column) parts[blockIdx.y * columns + column] = sum;
    if (!is_last_block(counters + blockIdx.x, gridDim.y)) return;
    sum = 0;
    if (is_column)
      sum = sum_of_steps(parts + column, lane, int64_t{gridDim.y}, int64_t{kLanes}, columns);
    sum = sum_of_lanes<kColumns>(sum);
  }
  if (lane == 0 && is_column) sums[column] = static_cast<float>(sum);
}

template <int kColumns>
void run(const Rows& matrix, float* sums) {
  // 16 rows for a thread are two rounds of loads, below which another block costs more than it
  // saves; enough blocks for the largest GPU need no more stretches.
  constexpr int64_t kLanes = kBlock / kColumns, kFewestRows = 16 * kLanes, kEnoughBlocks = 132 * 8;
  const int64_t groups = divide_up(matrix.columns, int64_t{kColumns});
  static_assert(kEnoughBlocks <= kBlockCounters, "each group with more than one block has one");
  const int64_t stretches =
      std::max(std::min(matrix.rows / kFewestRows, kEnoughBlocks / groups), int64_t{1});
  const int64_t rows_of_stretch = divide_up(matrix.rows, stretches);
  const Workspace parts(
      stretches == 1 ? 0 : static_cast<size_t>(stretches * matrix.columns) * sizeof(double));
  launch("column_sums", column_sums_kernel<kColumns>,
         overlapping({dim3(static_cast<unsigned>(groups), static_cast<unsigned>(stretches))}),
         matrix, rows_of_stretch, parts.as<double>(), block_counters(), sums);
}

}  // namespace

void column_sums(const float* x, int64_t rows, int64_t columns, int64_t stride, float* sums) {
  if (columns == 0) return;
  const Rows matrix{x, rows, columns, stride};
  if (columns <= 8) return run<8>(matrix, sums);
  if (columns <= 16) return run<16>(matrix, sums);
  run<32>(matrix, sums);
}

}  // namespace neurona
