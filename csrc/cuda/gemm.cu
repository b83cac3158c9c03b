// C (M, N) = act(alpha A (M, K) B (K, N) + [C] + bias): the product of product.cuh with dense
// operands in any of the four storage orders.
#include "ops/gemm.h"

#include "cuda/product/any_product.cuh"
#include "cuda/product/epilogue.cuh"
#include "cuda/short_product.h"
#include "cuda/thin_product.h"

namespace neurona {
namespace {

// A's lines are its rows, B's its columns; the stored order decides along which axis they lie.
template <typename Body>
void with_sources(const GemmShape& shape, const Matrix& a, const Matrix& b, const Body& body) {
  const DenseSource<true> a_rows{a.data, shape.m, a.stride, 0};
  const DenseSource<false> a_columns{a.data, shape.m, a.stride, 0};
  const DenseSource<false> b_rows{b.data, shape.n, b.stride, 0};
  const DenseSource<true> b_columns{b.data, shape.n, b.stride, 0};
  if (a.transposed && b.transposed) return body(a_columns, b_columns);
  if (a.transposed) return body(a_columns, b_rows);
  if (b.transposed) return body(a_rows, b_columns);
  body(a_rows, b_rows);
}

}  // namespace

void gemm(const GemmShape& shape, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
          const GemmEpilogue& epilogue, const float* /* packed_b is the host's */) {
  const RowTarget target{c, c_stride, 0, epilogue};
  if (takes_short_product(shape)) return short_product(shape, a, b, target);
  if (takes_thin_product(shape)) return thin_product(shape, a, b, target);
  with_sources(shape, a, b, [&](const auto& left, const auto& right) {
    product("gemm", {shape.m, shape.n, shape.k, 1}, left, right, target);
  });
}

}  // namespace neurona
