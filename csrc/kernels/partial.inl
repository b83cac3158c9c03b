// Vectors that may be cut short: n is kLanes almost always, and known to be so in the inlined hot
// path.
#pragma once

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {

NEURONA_INLINE Vec load_first(const float* p, int n) {
  return n == kLanes ? load(p) : load_partial(p, n);
}

NEURONA_INLINE void store_first(float* p, Vec v, int n) {
  if (n == kLanes) return store(p, v);
  store_partial(p, v, n);
}

}  // namespace neurona::NEURONA_ISA
