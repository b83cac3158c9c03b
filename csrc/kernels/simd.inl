// Vectors for one ISA: compiler vector extensions under short names. Included by every *.isa.inl;
// NEURONA_LANES floats wide.
//
// Nothing here may be visible to the linker: plain `static inline`, no std::, no templates with
// external linkage. Vectors cross function borders only when inlined, because their calling
// convention changes with the compiler flags.
#pragma once

#include <stdint.h>

#if defined(__AVX__)
#include <immintrin.h>
#endif

#define NEURONA_INLINE static inline __attribute__((always_inline))

namespace neurona::NEURONA_ISA {

constexpr int kLanes = NEURONA_LANES;

typedef float Vec __attribute__((vector_size(4 * NEURONA_LANES)));
typedef int32_t IntVec __attribute__((vector_size(4 * NEURONA_LANES)));
typedef uint32_t UintVec __attribute__((vector_size(4 * NEURONA_LANES)));
// The same bits at any address and under any other type.
typedef float UnalignedVec __attribute__((vector_size(4 * NEURONA_LANES), aligned(4), may_alias));
typedef int32_t UnalignedIntVec
    __attribute__((vector_size(4 * NEURONA_LANES), aligned(4), may_alias));

NEURONA_INLINE Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
NEURONA_INLINE void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
NEURONA_INLINE IntVec load_int(const int32_t* p) {
  return *reinterpret_cast<const UnalignedIntVec*>(p);
}
NEURONA_INLINE void store_int(int32_t* p, IntVec v) { *reinterpret_cast<UnalignedIntVec*>(p) = v; }

// `s - Vec{}` folds into one broadcast; `s + Vec{}` would have to keep the addition because of -0.
NEURONA_INLINE Vec broadcast(float s) { return s - Vec{}; }
NEURONA_INLINE IntVec broadcast_int(int32_t s) { return s - IntVec{}; }

// mask ? a : b per lane; a mask is what a comparison of vectors returns.
NEURONA_INLINE Vec select(IntVec mask, Vec a, Vec b) { return mask ? a : b; }

// The first n lanes (0 <= n < kLanes is the use; n == kLanes works), zeros behind; memory past them
// is not touched.
NEURONA_INLINE Vec load_partial(const float* p, int n) {
#if defined(__AVX512F__)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(__AVX2__)
  const IntVec lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return _mm256_maskload_ps(p, (__m256i)(lane < broadcast_int(n)));
#else
  float buffer[kLanes] = {};
  for (int i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
#endif
}

// Writes the first n lanes. On AVX2 in pieces of 4, 2 and 1: a masked store there is microcoded on
// Zen 1 to 3.
NEURONA_INLINE void store_partial(float* p, Vec v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#elif defined(__AVX2__)
  if (n >= 8) return store(p, v);
  __m128 part = _mm256_castps256_ps128(v);
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
#else
  float buffer[kLanes];
  store(buffer, v);
  for (int i = 0; i < n; ++i) p[i] = buffer[i];
#endif
}

// Lane i of the result is lane i ^ distance of v.
template <int distance>
NEURONA_INLINE Vec exchange(Vec v) {
#if NEURONA_LANES == 4
  return __builtin_shufflevector(v, v, 0 ^ distance, 1 ^ distance, 2 ^ distance, 3 ^ distance);
#elif NEURONA_LANES == 8
  return __builtin_shufflevector(v, v, 0 ^ distance, 1 ^ distance, 2 ^ distance, 3 ^ distance,
                                 4 ^ distance, 5 ^ distance, 6 ^ distance, 7 ^ distance);
#else
  return __builtin_shufflevector(v, v, 0 ^ distance, 1 ^ distance, 2 ^ distance, 3 ^ distance,
                                 4 ^ distance, 5 ^ distance, 6 ^ distance, 7 ^ distance,
                                 8 ^ distance, 9 ^ distance, 10 ^ distance, 11 ^ distance,
                                 12 ^ distance, 13 ^ distance, 14 ^ distance, 15 ^ distance);
#endif
}

// Sum of the lanes, always by halves: ((0+4)+(2+6)) + ((1+5)+(3+7)) for 8 lanes.
NEURONA_INLINE float reduce_add(Vec v) {
  if constexpr (kLanes > 8) v += exchange<8>(v);
  if constexpr (kLanes > 4) v += exchange<4>(v);
  v += exchange<2>(v);
  v += exchange<1>(v);
  return v[0];
}

}  // namespace neurona::NEURONA_ISA
