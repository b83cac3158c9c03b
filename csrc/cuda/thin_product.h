// Matrix products one of whose operands has few lines, at the precision "highest" (gemm.cu).
#pragma once

#include "cuda/product/epilogue.cuh"
#include "ops/gemm.h"

namespace neurona {

// Whether thin_product() is the faster one: where the matrix has fewer elements than the weight of
// a linear layer whose gradients are too few tiles to fill a GPU, small tiles take little longer,
// and all gradients of such a layer are one launch. Few lines, or short ones, would leave lanes
// without work.
bool takes_thin_product(const GemmShape& shape);

void thin_product(const GemmShape& shape, const Matrix& a, const Matrix& b,
                  const RowTarget& target);

}  // namespace neurona
