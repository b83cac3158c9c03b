// sums[j] = sum over rows of x[i * stride + j]: bias gradients. A block sums a stretch of rows for
// 32 columns, 8 threads to a column, in double; a second kernel adds the stretches in order.
#include "cuda/device.h"
#include "cuda/device_memory.h"
#include "ops/gemm.h"

namespace neurona {
namespace {

constexpr int kColumns = 32, kLanes = 8;
// Rows of a stretch: enough blocks for many rows, few enough stretches to add.
constexpr int64_t kStretch = 1024;

__global__ void stretch_kernel(const float* x, int64_t rows, int64_t columns, int64_t stride,
                               int64_t stretches, double* partial) {
  NEURONA_SHARED(double, lane_sums, [kLanes][kColumns]);
  const int lane = threadIdx.x / kColumns, in_block = threadIdx.x % kColumns;
  const int64_t stretch = blockIdx.x % stretches;
  const int64_t column = blockIdx.x / stretches * kColumns + in_block;
  const int64_t end = min(rows, (stretch + 1) * kStretch);
  double sum = 0;
  if (column < columns)
    for (int64_t row = stretch * kStretch + lane; row < end; row += kLanes)
      sum += x[row * stride + column];
  lane_sums[lane][in_block] = sum;
  __syncthreads();
  if (lane > 0 || column >= columns) return;
  for (int other = 1; other < kLanes; ++other) sum += lane_sums[other][in_block];
  partial[stretch * columns + column] = sum;
}

__global__ void add_stretches_kernel(const double* partial, int64_t stretches, int64_t columns,
                                     float* sums) {
  for (int64_t column = first_element(); column < columns; column += element_stride()) {
    double sum = 0;
    for (int64_t stretch = 0; stretch < stretches; ++stretch)
      sum += partial[stretch * columns + column];
    sums[column] = static_cast<float>(sum);
  }
}

}  // namespace

void column_sums(const float* x, int64_t rows, int64_t columns, int64_t stride, float* sums) {
  if (columns == 0) return;
  const int64_t stretches = divide_up(rows, kStretch);
  const Workspace partial(static_cast<size_t>(stretches * columns) * sizeof(double));
  const auto blocks = static_cast<unsigned>(stretches * divide_up(columns, kColumns));
  launch("column_sums", stretch_kernel, Launch{dim3(blocks), dim3(kColumns * kLanes)}, x, rows,
         columns, stride, stretches, partial.as<double>());
  launch("column_sums", add_stretches_kernel, over_elements(columns), partial.as<const double>(),
         stretches, columns, sums);
}

}  // namespace neurona
