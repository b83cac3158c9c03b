// The tensor cores' instruction mma.sync for one warp, D (16, 8) += A (16, k) B (k, 8), in float32
// sums: for TF32 k is 8 and a word holds one element, for bfloat16 k is 16 and a word holds two
// neighbours along k. In words both have one layout. With g = lane / 4 and t = lane % 4, a lane has
//
//   a[0..3]  A words (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)
//   b[0..1]  B words (t, g), (t + 4, g)
//   d[0..3]  D (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
//
// k is numbered as suits the caller, alike for both operands: sums do not mind in which order.
//
// On the host the lanes exchange their words and each computes its own four sums, k ascending; the
// device's order, and how it rounds the sums, are its own business, so that results agree only
// within a bound.
#pragma once

#include "cuda/device.h"

namespace neurona {

// float32 with 10 bits of mantissa.
struct Tf32 {
  using Element = uint32_t;
  static constexpr int kPerWord = 1;

  // To the nearest, ties away from zero, which is the only conversion that the device has.
  __device__ static Element from_float(float value) {
#if defined(__CUDACC__)
    Element element;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(element) : "f"(value));
    return element;
#else
    const unsigned bits = __float_as_uint(value);
    if ((bits & 0x7f800000u) == 0x7f800000u) return bits;  // infinity and NaN
    return (bits + 0x1000u) & 0xffffe000u;
#endif
  }
  __device__ static uint32_t word(const float (&values)[1]) { return from_float(values[0]); }
  __device__ static float element(uint32_t word, int) { return __uint_as_float(word); }
};

// The upper half of a float32: 7 bits of mantissa.
struct Bfloat16 {
  using Element = uint16_t;
  static constexpr int kPerWord = 2;

  // To the nearest, ties to even.
  __device__ static Element from_float(float value) {
    const unsigned bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Element>(bits >> 16 | 0x40u);  // NaN
    return static_cast<Element>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  }
  // The first in the lower half.
  __device__ static uint32_t word(const float (&values)[2]) {
#if defined(__CUDACC__)
    uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(values[1]), "f"(values[0]));
    return word;
#else
    return from_float(values[0]) | static_cast<uint32_t>(from_float(values[1])) << 16;
#endif
  }
  __device__ static float element(uint32_t word, int which) {
    return __uint_as_float(which == 0 ? word << 16 : word & 0xffff0000u);
  }
};

#if defined(__CUDACC__)

__device__ inline void multiply_add(Tf32, float (&d)[4], const uint32_t (&a)[4],
                                    const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline void multiply_add(Bfloat16, float (&d)[4], const uint32_t (&a)[4],
                                    const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

// What a lane brings: where its sums are, and its words.
struct Fragments {
  float* d;
  const uint32_t *a, *b;
};

// The sums of lane 4 g + t.
template <typename Number>
void multiply_add_of_lane(int lane, void* const* offers) {
  const auto of = [&](int i) { return *static_cast<const Fragments*>(offers[i]); };
  const int g = lane / 4, t = lane % 4;
  float* d = of(lane).d;
  for (int i = 0; i < 4; ++i) {
    const int below = i / 2, column = 2 * t + i % 2;  // row g + 8 below
    for (int word = 0; word < 8; ++word) {
      const uint32_t left = of(4 * g + word % 4).a[below + 2 * (word / 4)],
                     right = of(4 * column + word % 4).b[word / 4];
      for (int which = 0; which < Number::kPerWord; ++which)
        d[i] = fmaf(Number::element(left, which), Number::element(right, which), d[i]);
    }
  }
}

template <typename Number>
void multiply_add(Number, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Fragments own{d, a, b};
  emulation::exchange(
      NEURONA_SITE("mma.sync"), kAllLanes, &own, [](uint32_t lanes, void* const* offers) {
        emulation::for_lanes(lanes, [&](int lane) { multiply_add_of_lane<Number>(lane, offers); });
      });
}

#endif

}  // namespace neurona
