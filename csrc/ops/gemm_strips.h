// Large products: blocks of B that stay in L2, and strips of a few rows of A that pass by them.
#pragma once

#include <cstdint>

#include "ops/gemm.h"

namespace neurona {

// Whether gemm_strips() is the faster way for this product.
bool gemm_prefers_strips(const GemmShape& shape);

// C = act(alpha * A * B + [C] + bias), with K cut into blocks of `depth` steps (the last may be
// shorter), as in gemm(), which calls it.
void gemm_strips(const GemmShape& shape, const Matrix& a, const Matrix& b, float* c,
                 int64_t c_stride, const GemmEpilogue& epilogue, int64_t depth);

}  // namespace neurona
