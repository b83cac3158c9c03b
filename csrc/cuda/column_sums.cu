// sums[j] = sum over rows of x[i * stride + j]: bias gradients, in double. A block sums a stretch
// of rows for 8, 16 or 32 columns, neighbouring threads taking neighbouring columns and its lanes
// every so many rows. The last block of some columns adds the stretches in order.
#include <algorithm>

#include "cuda/common/column_sums.cuh"
#include "cuda/platform/device_memory.h"
#include "cuda/common/last_block.cuh"
#include "ops/gemm.h"

namespace neurona {
namespace {

template <int kColumns>
__global__ void column_sums_kernel(Rows matrix, int64_t rows_of_stretch, double* parts,
                                   unsigned* counters, float* sums) {
  wait_for_earlier_kernels();
  NEURONA_SHARED(ColumnSumsOfWarps<kColumns>, of_warp, [1]);
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
  sum = sum_of_lanes<kColumns>(sum, of_warp[0]);
  if (gridDim.y > 1) {
    if (lane == 0 && is_column) parts[blockIdx.y * columns + column] = sum;
    if (!is_last_block(counters + blockIdx.x, gridDim.y)) return;
    sum = 0;
    if (is_column)
      sum = sum_of_steps(parts + column, lane, int64_t{gridDim.y}, int64_t{kLanes}, columns);
    sum = sum_of_lanes<kColumns>(sum, of_warp[0]);
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
