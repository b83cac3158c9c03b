// What happens to a product's sums on their way to memory.
#pragma once

#include "cuda/device.h"
#include "ops/gemm.h"

namespace neurona {

// c[m * stride + n] = act(alpha sum + [c] + bias[n]), the batches lying batch_columns apart along n
// (as the groups of a convolution do).
struct RowTarget {
  float* c;
  int64_t stride, batch_columns;
  GemmEpilogue epilogue;

  __device__ void store(int64_t batch, int64_t m, int64_t n, float sum) const {
    const int64_t column = batch * batch_columns + n;
    float* place = c + m * stride + column;
    float value = epilogue.alpha * sum;
    if (epilogue.accumulate) value += *place;
    if (epilogue.bias) value += epilogue.bias[column];
    if (epilogue.activation == TileActivation::kRelu) value = value <= 0 ? 0.0f : value;
    if (epilogue.activation == TileActivation::kLeakyRelu)
      value = value > 0 ? value : value * kLeakySlope;
    *place = value;
  }

  static constexpr float kLeakySlope = 0.01f;
};

// Rows of `columns` elements without gaps, c = act(sum + bias).
inline RowTarget rows_of(float* c, int64_t columns, const float* bias, TileActivation activation) {
  GemmEpilogue epilogue;
  epilogue.bias = bias;
  epilogue.activation = activation;
  return {c, columns, 0, epilogue};
}

}  // namespace neurona
