// Matrix products: C (M, N) = act(alpha * A (M, K) * B (K, N) + [C] + bias), float32, row-major.
#pragma once

#include <cstdint>

#include "core/gemm_shape.h"
#include "kernels/gemm.h"

namespace neurona {

// A matrix of which rows or columns are contiguous: element (i, j) is data[i * stride + j], or
// data[j * stride + i] when transposed.
struct Matrix {
  const float* data;
  int64_t stride;
  bool transposed;
};

struct GemmEpilogue {
  float alpha = 1.0f;
  bool accumulate = false;      // add to what C holds; otherwise C is not read
  const float* bias = nullptr;  // n values, added to every row
  TileActivation activation = TileActivation::kNone;
};

// c has n contiguous floats in each row, c_stride apart. The bits of an element do not depend on
// the number of threads, nor on how many other rows or columns there are. `packed_b` is what
// gemm_pack_b() made of b, or null.
void gemm(const GemmShape& shape, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
          const GemmEpilogue& epilogue, const float* packed_b = nullptr);

// B in the order of the tiles, for products of few rows, which it takes longer to pack than to
// multiply: how many floats that is, whatever m, and how it is made.
int64_t gemm_packed_b_size(const GemmShape& shape);
void gemm_pack_b(const GemmShape& shape, const Matrix& b, float* packed);

// sums[j] = sum over rows of x[i * stride + j], for j < columns; blocked, in an order that depends
// on the shape alone.
void column_sums(const float* x, int64_t rows, int64_t columns, int64_t stride, float* sums);

}  // namespace neurona
