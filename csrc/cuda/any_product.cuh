// The product at the precision that was chosen.
#pragma once

#include "cuda/precision.h"
#include "cuda/product.cuh"
#include "cuda/tensor_product.cuh"

namespace neurona {

template <typename SourceA, typename SourceB, typename Target>
void product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
             const Target& target) {
  if (shape.m == 0 || shape.n == 0 || shape.batches == 0) return;
  switch (product_precision()) {
    case ProductPrecision::kHighest: return plain_product(name, shape, a, b, target);
    case ProductPrecision::kHigh: return tensor_product<Tf32>(name, shape, a, b, target);
    case ProductPrecision::kMedium: return tensor_product<Bfloat16>(name, shape, a, b, target);
  }
}

}  // namespace neurona
