// y = a + b, a - b, a * b or a / b on rows of contiguous elements.
#pragma once

#include <stdint.h>

namespace neurona {

enum class Arithmetic : int32_t { kAdd, kSub, kMul, kDiv };
constexpr int kArithmeticCount = 4;

// A stack of rows: row i starts at data + i * row_stride, and its elements are `step` floats apart.
struct ConstRows {
  const float* data;
  int64_t row_stride;
  int64_t step;
};

struct ElementwiseKernels {
  // y is contiguous, rows * length floats. Steps of 1 and 0 (one value for the whole row) are
  // vectorised, others go element by element with the same result. past_caches: how the former are
  // stored, see stream.inl.
  void (*arithmetic[kArithmeticCount])(const ConstRows& a, const ConstRows& b, float* y,
                                       int64_t rows, int64_t length, bool past_caches);
};

}  // namespace neurona
