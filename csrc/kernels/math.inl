// Elementary functions on vectors: exp, log, tanh, sigmoid, the normal distribution. Only
// multiplications, additions, one division where needed, and integer work on the exponent, so that
// every ISA runs the same steps.
//
// Error bounds (of float64 values, all finite inputs, with or without fused multiply-add): exp and
// log 1.1 ulp, sigmoid and tanh 3 ulp. NaN gives NaN, infinities give the limits, and results below
// 2^-126 are denormal, not zero. Polynomials are minimax fits of the relative error on the interval
// that their argument is reduced to.
#pragma once

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {

NEURONA_INLINE IntVec bits_of(Vec v) { return reinterpret_cast<IntVec>(v); }
NEURONA_INLINE Vec float_of(IntVec v) { return reinterpret_cast<Vec>(v); }

NEURONA_INLINE Vec absolute(Vec v) { return float_of(bits_of(v) & broadcast_int(0x7fffffff)); }
NEURONA_INLINE Vec copy_sign(Vec magnitude, Vec sign) {
  return float_of(bits_of(magnitude) | (bits_of(sign) & broadcast_int(INT32_MIN)));
}
// The comparisons are false for NaN, which therefore passes.
NEURONA_INLINE Vec clamp(Vec v, float low, float high) {
  v = select(v < broadcast(low), broadcast(low), v);
  return select(v > broadcast(high), broadcast(high), v);
}

NEURONA_INLINE Vec square_root(Vec v) {
#if defined(__AVX512F__)
  return _mm512_maskz_sqrt_ps(0xffff, v);  // GCC 12 warns about the unmasked form of its own header
#elif defined(__AVX2__)
  return _mm256_sqrt_ps(v);
#else
  float lanes[kLanes];
  store(lanes, v);
  for (int i = 0; i < kLanes; ++i) lanes[i] = __builtin_sqrtf(lanes[i]);
  return load(lanes);
#endif
}

// x = n ln 2 + r with |r| <= ln(2) / 2; n is a whole number.
struct ExpArgument {
  IntVec n;
  Vec r;
};

NEURONA_INLINE ExpArgument reduce_exp(Vec x) {
  // Adding 1.5 * 2^23 leaves no bits behind the point, so the sum's last bits are the nearest whole
  // number.
  const Vec magic = broadcast(0x1.8p23f);
  const Vec shifted = x * 0x1.715476p0f + magic;
  const Vec n = shifted - magic;
  // ln 2 in two parts: the first has 15 bits, so its product with n is exact.
  Vec r = x - n * 0x1.62e4p-1f;
  r = r - n * 0x1.7f7d1cp-20f;
  return {bits_of(shifted) - bits_of(magic), r};
}

// exp(r) - 1 for |r| <= ln(2) / 2.
NEURONA_INLINE Vec expm1_reduced(Vec r) {
  Vec p = r * 0.00139506289f + 0.00836896989f;
  p = p * r + 0.0416662022f;
  p = p * r + 0.166665182f;
  p = p * r + 0.5f;
  return r + r * r * p;
}

// 2^n for -126 <= n <= 127.
NEURONA_INLINE Vec power_of_two(IntVec n) {
  return reinterpret_cast<Vec>(reinterpret_cast<UintVec>(n + 127) << 23);
}

NEURONA_INLINE Vec exponential(Vec x) {
  // Outside, the result is 0 or infinity all the same.
  const ExpArgument a = reduce_exp(clamp(x, -104.0f, 89.0f));
  // In two factors, because 2^128 is no float and 2^-149 is denormal; only the last product rounds.
  const IntVec half = a.n >> 1;
  return (expm1_reduced(a.r) + 1.0f) * power_of_two(half) * power_of_two(a.n - half);
}

// exp for x <= 0, or NaN, whose result may be anything in [0, 2^-126] when it is below 2^-126:
// softmax's, with half the scaling.
NEURONA_INLINE Vec exponential_of_negative(Vec x) {
  const Vec floor = broadcast(-87.0f);
  const ExpArgument a = reduce_exp(select(x < floor, floor, x));
  const Vec y = (expm1_reduced(a.r) + 1.0f) * power_of_two(a.n);
  return select(x < floor, Vec{}, y);
}

// log(1 + f) + e ln 2 for 1 + f in [sqrt(1/2), sqrt(2)].
NEURONA_INLINE Vec log_from_parts(Vec f, Vec e) {
  Vec q = f * -0.0763442963f + 0.127615497f;
  q = q * f + -0.131601945f;
  q = q * f + 0.142017618f;
  q = q * f + -0.166233569f;
  q = q * f + 0.200012267f;
  q = q * f + -0.250008225f;
  q = q * f + 0.333333313f;
  const Vec z = f * f;
  const Vec tail = f * z * q + e * 0x1.7f7d1cp-20f - z * 0.5f;
  return e * 0x1.62e4p-1f + (f + tail);
}

// Splits a positive normal number into 2^e (1 + f).
NEURONA_INLINE Vec log_of_normal(Vec x) {
  // Subtracting sqrt(1/2)'s bits first puts the cut between exponents at sqrt(1/2) instead of 1.
  const IntVec offset = bits_of(x) - broadcast_int(0x3f3504f3);
  const IntVec e = offset >> 23;
  const Vec m = float_of((offset & broadcast_int(0x7fffff)) + broadcast_int(0x3f3504f3));
  return log_from_parts(m - 1.0f, __builtin_convertvector(e, Vec));
}

NEURONA_INLINE Vec logarithm(Vec x) {
  const IntVec tiny = x < broadcast(0x1p-126f);
  const Vec scaled = select(tiny, x * 0x1p24f, x);
  Vec y = log_of_normal(scaled) - select(tiny, broadcast(24 * 0.693147182f), Vec{});
  y = select(x == Vec{}, broadcast(-__builtin_inff()), y);
  y = select(x == broadcast(__builtin_inff()), x, y);
  return select(x >= Vec{}, y, broadcast(__builtin_nanf("")));
}

// exp(x) - 1 for x <= 0, or NaN; for x > 0 it is 0.
NEURONA_INLINE Vec expm1_of_negative(Vec x) {
  const ExpArgument a = reduce_exp(clamp(x, -20.0f, 0.0f));
  const Vec scale = power_of_two(a.n);
  return scale * expm1_reduced(a.r) + (scale - 1.0f);
}

// log(1 + x) for 0 <= x <= 1, or NaN.
NEURONA_INLINE Vec log_of_one_and(Vec x) {
  // 1 + x = 2 (1 + (x - 1) / 2), where the second form is the nearer to 1.
  const IntVec large = x > broadcast(0.414213562f);
  return log_from_parts(select(large, (x - 1.0f) * 0.5f, x), select(large, broadcast(1.0f), Vec{}));
}

// exp(-|x|) keeps the far left tail, where exp(-x) would overflow.
NEURONA_INLINE Vec sigmoid(Vec x) {
  const Vec e = exponential(-absolute(x));
  return select(x < Vec{}, e, broadcast(1.0f)) / (e + 1.0f);
}

// sigmoid(x) and 1 - sigmoid(x), each to its own last bits.
struct Logistic {
  Vec value, complement;
};

NEURONA_INLINE Logistic logistic(Vec x) {
  const Vec e = exponential(-absolute(x));
  const Vec near = 1.0f / (e + 1.0f), far = e * near;
  const IntVec negative = x < Vec{};
  return {select(negative, far, near), select(negative, near, far)};
}

// t / (t + 2) with t = exp(2|x|) - 1, which is accurate near 0 too.
NEURONA_INLINE Vec hyperbolic_tangent(Vec x) {
  const Vec magnitude = absolute(x);
  const ExpArgument a =
      reduce_exp(select(magnitude > broadcast(10.0f), broadcast(20.0f), magnitude + magnitude));
  const Vec scale = power_of_two(a.n);
  const Vec t = scale * expm1_reduced(a.r) + (scale - 1.0f);
  return copy_sign(t / (t + 2.0f), x);
}

// The standard normal distribution at x: P(z <= x) and exp(-x^2 / 2).
struct Normal {
  Vec cdf, bell;
};

NEURONA_INLINE Normal normal_distribution(Vec x) {
  // The tail is bell * R(|x|), R being Mills' ratio / sqrt(2 pi): smooth, from 1/2 downwards;
  // fitted in s = 1 / (1 + 0.3 |x|) up to |x| = 14.5, where the tail underflows. Relative error
  // 4e-8.
  const Vec magnitude = absolute(x);
  const Vec s = 1.0f / (magnitude * 0.3f + 1.0f);
  Vec ratio = s * -0.00383641687f + 0.0582751706f;
  ratio = ratio * s + -0.213631868f;
  ratio = ratio * s + 0.284718812f;
  ratio = ratio * s + -0.120330431f;
  ratio = ratio * s + 0.164510593f;
  ratio = ratio * s + 0.0876316801f;
  ratio = ratio * s + 0.123314217f;
  ratio = ratio * s + 0.119333886f;
  ratio = ratio * s + 1.43840552e-05f;
  const Vec bell = exponential(x * x * -0.5f);
  const Vec tail = bell * ratio;
  return {select(x < Vec{}, tail, 1.0f - tail), bell};
}

}  // namespace neurona::NEURONA_ISA
