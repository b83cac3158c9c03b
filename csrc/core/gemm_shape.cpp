#include "core/gemm_shape.h"

#include "core/errors.h"

namespace neurona {

GemmShape gemm_shape(const char* op, int64_t a_rows, int64_t a_columns, bool trans_a,
                     int64_t b_rows, int64_t b_columns, bool trans_b) {
  const GemmShape shape{trans_a ? a_columns : a_rows, trans_b ? b_rows : b_columns,
                        trans_a ? a_rows : a_columns};
  const int64_t b_inner = trans_b ? b_columns : b_rows;
  if (b_inner != shape.k)
    fail_value(op, "a and b must agree in their inner size, got a (", a_rows, ", ", a_columns, ")",
               trans_a ? " transposed" : "", " and b (", b_rows, ", ", b_columns, ")",
               trans_b ? " transposed" : "", ": ", shape.k, " and ", b_inner);
  return shape;
}

}  // namespace neurona
