// The activation at the end of a tile.
#pragma once

#include "kernels/gemm.h"
#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {

// Comparisons are false for NaN, which therefore passes.
NEURONA_INLINE Vec activate(Vec sum, TileActivation activation) {
  if (activation == TileActivation::kRelu) return select(sum < Vec{}, Vec{}, sum);
  if (activation == TileActivation::kLeakyRelu)
    return select(sum < Vec{}, sum * broadcast(0.01f), sum);
  return sum;
}

}  // namespace neurona::NEURONA_ISA
