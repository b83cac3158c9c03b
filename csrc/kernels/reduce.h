// Sums and maxima of rows and of columns.
#pragma once

#include <stdint.h>

namespace neurona {

struct ReduceKernels {
  // sums[i] += sum of row i, which is `length` floats from x + i * stride. Spans of a few hundred
  // floats per accumulator are summed in float32, and added up in double.
  void (*sum_rows)(const float* x, int64_t rows, int64_t length, int64_t stride, double* sums);
  // sums[j] += sum over i < rows of x[i * stride + j], for j < columns; in the same two levels.
  void (*sum_columns)(const float* x, int64_t rows, int64_t columns, int64_t stride, double* sums);

  // The largest element of each row and its first position; the first NaN wins over everything.
  // `length` >= 1; indices may be null.
  void (*max_rows)(const float* x, int64_t rows, int64_t length, float* values, int64_t* indices);
  // The same down each column: element i of column j is x[i * stride + j].
  void (*max_columns)(const float* x, int64_t length, int64_t columns, int64_t stride,
                      float* values, int64_t* indices);
};

}  // namespace neurona
