// Sizes of a matrix product C (M, N) = op(A) (M, K) * op(B) (K, N), and their rules.
#pragma once

#include <cstdint>

namespace neurona {

struct GemmShape {
  int64_t m, n, k;
};

// a_rows x a_columns and b_rows x b_columns are the shapes before transposition. ValueError when
// the inner sizes differ.
GemmShape gemm_shape(const char* op, int64_t a_rows, int64_t a_columns, bool trans_a,
                     int64_t b_rows, int64_t b_columns, bool trans_b);

}  // namespace neurona
