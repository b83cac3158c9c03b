// Loads and stores that pooling needs beside those of simd.inl: offsets as bytes or ints, and
// vectors cut short.
#pragma once

#include "kernels/partial.inl"
#include "kernels/pool2d.h"
#include "kernels/simd.inl"

#if defined(__SSE4_1__)
#include <immintrin.h>
#endif

namespace neurona::NEURONA_ISA {
namespace {

typedef uint8_t ByteVec __attribute__((vector_size(NEURONA_LANES)));
typedef uint8_t UnalignedByteVec __attribute__((vector_size(NEURONA_LANES), aligned(1), may_alias));
// As many bytes as a register holds.
typedef uint8_t WideByteVec __attribute__((vector_size(4 * NEURONA_LANES)));
typedef uint8_t UnalignedWideByteVec
    __attribute__((vector_size(4 * NEURONA_LANES), aligned(1), may_alias));

template <bool kPartial>
NEURONA_INLINE Vec load_lanes(const float* p, int n) {
  if constexpr (kPartial) return load_partial(p, n);
  return load(p);
}

template <bool kPartial>
NEURONA_INLINE void store_lanes(float* p, Vec v, int n) {
  if constexpr (kPartial) return store_partial(p, v, n);
  store(p, v);
}

// The low byte of each lane, and back. Spelt out for x86, where GCC 12 converts lane by lane.
NEURONA_INLINE void store_bytes(uint8_t* p, IntVec v) {
#if defined(__AVX512F__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
#elif defined(__AVX2__)
  const __m128i words =
      _mm_packus_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
  _mm_storeu_si64(p, _mm_packus_epi16(words, words));
#elif defined(__SSE4_1__)
  const __m128i words = _mm_packus_epi32((__m128i)v, (__m128i)v);
  _mm_storeu_si32(p, _mm_packus_epi16(words, words));
#else
  *reinterpret_cast<UnalignedByteVec*>(p) = __builtin_convertvector(v, ByteVec);
#endif
}

NEURONA_INLINE IntVec load_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  return (IntVec)_mm512_maskz_cvtepu8_epi32(0xffff,
                                            _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#elif defined(__AVX2__)
  return (IntVec)_mm256_cvtepu8_epi32(_mm_loadu_si64(p));
#elif defined(__SSE4_1__)
  return (IntVec)_mm_cvtepu8_epi32(_mm_loadu_si32(p));
#else
  const ByteVec bytes = *reinterpret_cast<const UnalignedByteVec*>(p);
  return __builtin_convertvector(bytes, IntVec);
#endif
}

template <int kOffsets, bool kPartial>
NEURONA_INLINE void store_offsets(void* offsets, int64_t at, IntVec winner, int n) {
  if constexpr (kOffsets == kByteOffsets) {
    uint8_t* bytes = static_cast<uint8_t*>(offsets) + at;
    if constexpr (kPartial)
      for (int i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(winner[i]);
    else
      store_bytes(bytes, winner);
  } else if constexpr (kOffsets == kIntOffsets) {
    int32_t* ints = static_cast<int32_t*>(offsets) + at;
    if constexpr (kPartial)
      for (int i = 0; i < n; ++i) ints[i] = winner[i];
    else
      store_int(ints, winner);
  }
}

template <int kOffsets>
NEURONA_INLINE IntVec load_offsets(const void* offsets, int64_t at, int n) {
  const uint8_t* bytes = static_cast<const uint8_t*>(offsets) + at;
  const int32_t* ints = static_cast<const int32_t*>(offsets) + at;
  if (n == kLanes) {
    if constexpr (kOffsets == kByteOffsets) return load_bytes(bytes);
    return load_int(ints);
  }
  int32_t first[kLanes] = {};
  for (int i = 0; i < n; ++i) first[i] = kOffsets == kByteOffsets ? bytes[i] : ints[i];
  return load_int(first);
}

uint32_t largest_byte(const void* offsets, int64_t count) {
  const uint8_t* bytes = static_cast<const uint8_t*>(offsets);
  uint8_t lanes[sizeof(WideByteVec)];
  WideByteVec most = {};
  int64_t i = 0;
  for (; i + static_cast<int64_t>(sizeof(WideByteVec)) <= count; i += sizeof(WideByteVec)) {
    const WideByteVec next = *reinterpret_cast<const UnalignedWideByteVec*>(bytes + i);
    most = next > most ? next : most;
  }
  *reinterpret_cast<UnalignedWideByteVec*>(lanes) = most;
  uint32_t largest = 0;
  for (uint8_t lane : lanes) largest = lane > largest ? lane : largest;
  for (; i < count; ++i) largest = bytes[i] > largest ? bytes[i] : largest;
  return largest;
}

// As unsigned numbers, so that a negative offset is a large one.
uint32_t largest_int(const void* offsets, int64_t count) {
  const uint32_t* ints = static_cast<const uint32_t*>(offsets);
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = ints[i] > largest ? ints[i] : largest;
  return largest;
}

}  // namespace
}  // namespace neurona::NEURONA_ISA
