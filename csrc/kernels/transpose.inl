// kLanes vectors of kLanes elements, transposed in registers: first the 4 x 4 blocks inside each
// quad (128 bits), then the quads among themselves. 64 shuffles for 256 elements with AVX-512, 24
// for 64 with AVX2, 8 for 16 without.
#pragma once

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {

// Element e of quad q, where elements 4 to 7 are those of a second vector.
constexpr int quad_element(int e, int q) { return e < 4 ? 4 * q + e : kLanes + 4 * q + e - 4; }

// In each quad the elements e0 to e3 of a and b; a single instruction for the patterns below.
template <int e0, int e1, int e2, int e3>
NEURONA_INLINE Vec shuffle_quads(Vec a, Vec b) {
#define NEURONA_QUAD(q) \
  quad_element(e0, q), quad_element(e1, q), quad_element(e2, q), quad_element(e3, q)
#if NEURONA_LANES == 4
  return __builtin_shufflevector(a, b, NEURONA_QUAD(0));
#elif NEURONA_LANES == 8
  return __builtin_shufflevector(a, b, NEURONA_QUAD(0), NEURONA_QUAD(1));
#else
  return __builtin_shufflevector(a, b, NEURONA_QUAD(0), NEURONA_QUAD(1), NEURONA_QUAD(2),
                                 NEURONA_QUAD(3));
#endif
#undef NEURONA_QUAD
}

#if NEURONA_LANES > 4
// Whole quads: with 8 lanes q0 and q1 of the four in a and b, with 16 lanes q0 and q1 of a, then
// those numbers of b.
template <int q0, int q1>
NEURONA_INLINE Vec shuffle_whole_quads(Vec a, Vec b) {
#if NEURONA_LANES == 8
  return __builtin_shufflevector(a, b, 4 * q0, 4 * q0 + 1, 4 * q0 + 2, 4 * q0 + 3, 4 * q1,
                                 4 * q1 + 1, 4 * q1 + 2, 4 * q1 + 3);
#else
  return __builtin_shufflevector(a, b, 4 * q0, 4 * q0 + 1, 4 * q0 + 2, 4 * q0 + 3, 4 * q1,
                                 4 * q1 + 1, 4 * q1 + 2, 4 * q1 + 3, 16 + 4 * q0, 17 + 4 * q0,
                                 18 + 4 * q0, 19 + 4 * q0, 16 + 4 * q1, 17 + 4 * q1, 18 + 4 * q1,
                                 19 + 4 * q1);
#endif
}
#endif

// Lane l of vector v goes to lane v of vector l.
NEURONA_INLINE void transpose(Vec (&v)[kLanes]) {
#pragma GCC unroll 4
  for (int g = 0; g < kLanes; g += 4) {
    const Vec low01 = shuffle_quads<0, 4, 1, 5>(v[g], v[g + 1]),
              high01 = shuffle_quads<2, 6, 3, 7>(v[g], v[g + 1]),
              low23 = shuffle_quads<0, 4, 1, 5>(v[g + 2], v[g + 3]),
              high23 = shuffle_quads<2, 6, 3, 7>(v[g + 2], v[g + 3]);
    v[g] = shuffle_quads<0, 1, 4, 5>(low01, low23);
    v[g + 1] = shuffle_quads<2, 3, 6, 7>(low01, low23);
    v[g + 2] = shuffle_quads<0, 1, 4, 5>(high01, high23);
    v[g + 3] = shuffle_quads<2, 3, 6, 7>(high01, high23);
  }
#if NEURONA_LANES > 4
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
#if NEURONA_LANES == 8
    const Vec first = v[j], second = v[4 + j];
    v[j] = shuffle_whole_quads<0, 2>(first, second);
    v[4 + j] = shuffle_whole_quads<1, 3>(first, second);
#else
    const Vec low01 = shuffle_whole_quads<0, 1>(v[j], v[4 + j]),
              high01 = shuffle_whole_quads<2, 3>(v[j], v[4 + j]),
              low23 = shuffle_whole_quads<0, 1>(v[8 + j], v[12 + j]),
              high23 = shuffle_whole_quads<2, 3>(v[8 + j], v[12 + j]);
    v[j] = shuffle_whole_quads<0, 2>(low01, low23);
    v[4 + j] = shuffle_whole_quads<1, 3>(low01, low23);
    v[8 + j] = shuffle_whole_quads<0, 2>(high01, high23);
    v[12 + j] = shuffle_whole_quads<1, 3>(high01, high23);
#endif
  }
#endif
}

}  // namespace neurona::NEURONA_ISA
