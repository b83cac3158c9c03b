// Matrix products with a depth of a few elements and a large result, at the precision "highest"
// (gemm.cu).
#pragma once

#include "cuda/product/epilogue.cuh"
#include "ops/gemm.h"

namespace neurona {

// Whether short_product() is the faster one: where its tiles are enough for every multiprocessor.
bool takes_short_product(const GemmShape& shape);

void short_product(const GemmShape& shape, const Matrix& a, const Matrix& b,
                   const RowTarget& target);

}  // namespace neurona
