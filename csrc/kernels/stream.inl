// Stores past the caches, for results that do not fit into them: an ordinary store first reads the
// line that it changes, a third of the traffic of a copy. Where there are no such stores they are
// ordinary ones.
#pragma once

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {

// Floats before the next whole vector of memory, at most `count`.
NEURONA_INLINE int64_t floats_to_vector(const float* p, int64_t count) {
  const int64_t behind =
      static_cast<int64_t>(reinterpret_cast<uintptr_t>(p) / sizeof(float)) % kLanes;
  const int64_t missing = behind == 0 ? 0 : kLanes - behind;
  return missing < count ? missing : count;
}

// Past the caches, p must be the start of a whole vector of memory. A constant for each loop: asked
// per vector, the question is a third of relu's instructions.
template <bool kPastCaches>
NEURONA_INLINE void store_or_stream(float* p, Vec v) {
#if defined(__AVX512F__)
  if constexpr (kPastCaches) return _mm512_stream_ps(p, v);
#elif defined(__AVX__)
  if constexpr (kPastCaches) return _mm256_stream_ps(p, v);
#endif
  store(p, v);
}

// Makes stores past the caches visible before any later store, as ordinary ones are.
template <bool kPastCaches>
NEURONA_INLINE void end_stream() {
#if defined(__AVX__)
  if constexpr (kPastCaches) _mm_sfence();
#endif
}

}  // namespace neurona::NEURONA_ISA
