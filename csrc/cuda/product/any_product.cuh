// The product at the precision that was chosen.
#pragma once

#include <type_traits>

#include "cuda/precision.h"
#include "cuda/product/packed_matrices.cuh"
#include "cuda/product/product.cuh"
#include "cuda/product/tensor_product.cuh"

namespace neurona {

// Packing writes an operand down as it is multiplied. That is a copy of a dense matrix, but nine
// copies of the image of a 3 x 3 convolution.
template <typename Source>
constexpr bool kCanBePacked =
    std::is_same_v<Source, DenseSource<true>> || std::is_same_v<Source, DenseSource<false>>;

template <typename Number, typename SourceA, typename SourceB, typename Target>
void rounded_product(const char* name, const ProductShape& shape, const SourceA& a,
                     const SourceB& b, const Target& target) {
  if constexpr (kCanBePacked<SourceA> && kCanBePacked<SourceB>)
    if (packs(shape)) return packed_product<Number>(name, shape, a, b, target);
  tensor_product<Number>(name, shape, a, b, target);
}

template <typename SourceA, typename SourceB, typename Target>
void product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
             const Target& target) {
  if (shape.m == 0 || shape.n == 0 || shape.batches == 0) return;
  switch (product_precision()) {
    case ProductPrecision::kHighest: return plain_product(name, shape, a, b, target);
    case ProductPrecision::kHigh: return rounded_product<Tf32>(name, shape, a, b, target);
    case ProductPrecision::kMedium: return rounded_product<Bfloat16>(name, shape, a, b, target);
  }
}

}  // namespace neurona
