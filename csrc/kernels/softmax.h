// Softmax, its logarithm and their gradients, along contiguous rows or down the columns of a
// matrix.
#pragma once

#include <stdint.h>

namespace neurona {

// Wishes of cross-entropy for each row; any pointer may be null.
struct SoftmaxRowExtras {
  const float* scale;  // each row of the result is multiplied by its scale
  float* maximum;      // of the row
  float* sum;          // of exp(x - maximum) over the row
};

struct SoftmaxKernels {
  // Rows of `length` floats, one behind the other. softmax's y may be null when only the extras are
  // wanted.
  void (*softmax_rows)(const float* x, float* y, int64_t rows, int64_t length,
                       const SoftmaxRowExtras& extras);
  void (*log_softmax_rows)(const float* x, float* y, int64_t rows, int64_t length);
  void (*softmax_backward_rows)(const float* dy, const float* y, float* dx, int64_t rows,
                                int64_t length);
  void (*log_softmax_backward_rows)(const float* dy, const float* y, float* dx, int64_t rows,
                                    int64_t length);

  // Down each of `columns` columns: element i of column j is at [i * stride + j], i < length.
  void (*softmax_columns)(const float* x, float* y, int64_t length, int64_t columns,
                          int64_t stride);
  void (*log_softmax_columns)(const float* x, float* y, int64_t length, int64_t columns,
                              int64_t stride);
  void (*softmax_backward_columns)(const float* dy, const float* y, float* dx, int64_t length,
                                   int64_t columns, int64_t stride);
  void (*log_softmax_backward_columns)(const float* dy, const float* y, float* dx, int64_t length,
                                       int64_t columns, int64_t stride);

  void (*logarithm)(const float* x, float* y, int64_t count);
};

}  // namespace neurona
