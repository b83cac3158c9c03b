// Loads of scattered floats: p[index[i]] in lane i.
#pragma once

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {

NEURONA_INLINE Vec gather(const float* p, IntVec index) {
#if defined(__AVX512F__)
  return _mm512_mask_i32gather_ps(Vec{}, 0xffff, (__m512i)index, p, 4);
#elif defined(__AVX2__)
  return _mm256_i32gather_ps(p, (__m256i)index, 4);
#else
  Vec result;
  for (int i = 0; i < kLanes; ++i) result[i] = p[index[i]];
  return result;
#endif
}

// The lanes whose mask is -1; the others keep those of `rest`, and their index may be anything.
NEURONA_INLINE Vec gather_where(IntVec mask, const float* p, IntVec index, Vec rest) {
#if defined(__AVX512F__)
  return _mm512_mask_i32gather_ps(rest, _mm512_movepi32_mask((__m512i)mask), (__m512i)index, p, 4);
#elif defined(__AVX2__)
  return _mm256_mask_i32gather_ps(rest, p, (__m256i)index, (__m256)mask, 4);
#else
  for (int i = 0; i < kLanes; ++i)
    if (mask[i]) rest[i] = p[index[i]];
  return rest;
#endif
}

// The first n lanes of indices in memory, zeros behind.
NEURONA_INLINE Vec gather_first(const float* p, const int32_t* index, int n) {
  if (n == kLanes) return gather(p, load_int(index));
  float lanes[kLanes] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[index[i]];
  return load(lanes);
}

}  // namespace neurona::NEURONA_ISA
