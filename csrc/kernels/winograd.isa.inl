// Winograd's transforms for the points 0, +-a, +-b and infinity with a = sqrt(1/2), b = sqrt(2).
// Row p of G is (1, p, p^2, ..) / N(p), for infinity (0, .., 1); A has the powers without N.
//
//   B^T   1   0  -5/2   0    1   0       G   1      0       0       A^T  1  1   1   1   1  0
//         0  -b  -2     a    1   0          -2/3  -2a/3   -1/3           0  a  -a   b  -b  0
//         0   b  -2    -a    1   0          -2/3   2a/3   -1/3           0 1/2 1/2  2   2  0
//         0  -a  -1/2   b    1   0           1/6   b/6     1/3           0 a/2 -a/2 2b -2b 1
//         0   a  -1/2  -b    1   0           1/6  -b/6     1/3
//         0   1   0   -5/2   0   1           0      0       1
//
// That is for 3 taps and tiles of 4; for 5 taps G has the columns of p^3 and p^4 as well, and tiles
// of 2 have the first two rows of A^T, the second with the 1 of infinity. Points near 1 in size
// round least: with 64 channels an error of 0.7e-6 of the output's standard deviation, which is 2.2
// times that of plain sums (0, +-1, +-2 would double it). A pair +-p shares its even and its odd
// part.
#include "kernels/winograd.h"

#include "kernels/activate.inl"
#include "kernels/partial.inl"

namespace neurona::NEURONA_ISA {
namespace {

constexpr float kA = 0.70710678118654752f, kB = 1.41421356237309505f;

NEURONA_INLINE void input_transform(const Vec (&d)[6], Vec (&t)[6]) {
  const Vec even_a = d[4] - d[2] * 2.0f, odd_a = d[3] - d[1] * 2.0f;
  const Vec even_b = d[4] - d[2] * 0.5f, odd_b = d[3] - d[1] * 0.5f;
  t[0] = d[0] + d[4] - d[2] * 2.5f;
  t[1] = even_a + odd_a * kA;
  t[2] = even_a - odd_a * kA;
  t[3] = even_b + odd_b * kB;
  t[4] = even_b - odd_b * kB;
  t[5] = d[1] + d[5] - d[3] * 2.5f;
}

template <int kTile>
NEURONA_INLINE void output_transform(const Vec (&m)[6], Vec (&y)[kTile]) {
  const Vec even_a = m[1] + m[2], odd_a = m[1] - m[2];
  const Vec even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = m[0] + even_a + even_b;
  if constexpr (kTile == 2) {
    y[1] = m[5] + odd_a * kA + odd_b * kB;
  } else {
    y[1] = odd_a * kA + odd_b * kB;
    y[2] = even_a * 0.5f + even_b * 2.0f;
    y[3] = m[5] + odd_a * (0.5f * kA) + odd_b * (2.0f * kB);
  }
}

// A of the comment above, transposed back: from a tile's values to 6.
template <int kTile>
NEURONA_INLINE void gradient_transform(const Vec (&d)[kTile], Vec (&t)[6]) {
  Vec even_a = d[0], odd_a = d[1], even_b = d[0], odd_b = d[1];
  if constexpr (kTile == 4) {
    even_a += d[2] * 0.5f, odd_a += d[3] * 0.5f;
    even_b += d[2] * 2.0f, odd_b += d[3] * 2.0f;
  }
  t[0] = d[0];
  t[1] = even_a + odd_a * kA;
  t[2] = even_a - odd_a * kA;
  t[3] = even_b + odd_b * kB;
  t[4] = even_b - odd_b * kB;
  t[5] = d[kTile - 1];
}

struct Input {
  static constexpr int kSize = 6;
  NEURONA_INLINE void transform(const Vec (&d)[6], Vec (&t)[6]) { input_transform(d, t); }
};

template <int kTile>
struct Gradient {
  static constexpr int kSize = kTile;
  NEURONA_INLINE void transform(const Vec (&d)[kTile], Vec (&t)[6]) { gradient_transform(d, t); }
};

// One vector of channels of a tile, of which n lanes are valid: columns, then rows.
template <typename Side>
NEURONA_INLINE void forward_vector(const float* x, int64_t line, int64_t pixel, float* v,
                                   int64_t step, int n) {
  constexpr int kSize = Side::kSize;
  alignas(64) float half[6][kSize][kLanes];
  for (int j = 0; j < kSize; ++j) {
    Vec d[kSize], t[6];
#pragma GCC unroll 6
    for (int i = 0; i < kSize; ++i) d[i] = load_first(x + i * line + j * pixel, n);
    Side::transform(d, t);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) store(half[i][j], t[i]);
  }
  for (int i = 0; i < 6; ++i, v += 6 * step) {
    Vec d[kSize], t[6];
#pragma GCC unroll 6
    for (int j = 0; j < kSize; ++j) d[j] = load(half[i][j]);
    Side::transform(d, t);
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) store_first(v + j * step, t[j], n);
  }
}

template <typename Side>
void transform_forward(const float* x, int64_t line, int64_t pixel, int64_t channels, float* v,
                       int64_t step) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes)
    forward_vector<Side>(x + c, line, pixel, v + c, step, kLanes);
  if (c < channels)
    forward_vector<Side>(x + c, line, pixel, v + c, step, static_cast<int>(channels - c));
}

// Half a vector's lanes, in double: with more at a time the 18 values between the two steps would
// not stay in registers (AVX-512: 280 ns instead of 85 per vector of weights).
constexpr int kHalf = kLanes / 2;
typedef double Doubles __attribute__((vector_size(8 * kHalf)));
typedef float Floats __attribute__((vector_size(4 * kHalf)));
typedef float UnalignedFloats __attribute__((vector_size(4 * kHalf), aligned(4), may_alias));

NEURONA_INLINE Doubles load_doubles(const float* p) {
#if defined(__AVX512F__)  // GCC 12 makes two conversions of four and an insertion of the builtin
  return _mm512_cvtps_pd(_mm256_loadu_ps(p));
#endif
  return __builtin_convertvector(*reinterpret_cast<const UnalignedFloats*>(p), Doubles);
}
NEURONA_INLINE void store_rounded(float* p, Doubles v) {
  *reinterpret_cast<UnalignedFloats*>(p) = __builtin_convertvector(v, Floats);
}

constexpr double kWideA = 0.70710678118654752440, kWideB = 1.41421356237309504880;

template <int kTaps>
NEURONA_INLINE void weight_transform(const Doubles (&g)[kTaps], Doubles (&t)[6]) {
  Doubles even_a = g[0] + g[2] * 0.5, odd_a = g[1], even_b = g[0] + g[2] * 2.0, odd_b = g[1];
  if constexpr (kTaps == 5) {
    even_a += g[4] * 0.25, odd_a += g[3] * 0.5;
    even_b += g[4] * 4.0, odd_b += g[3] * 2.0;
  }
  even_a *= -2.0 / 3, odd_a *= -2.0 / 3 * kWideA;
  even_b *= 1.0 / 6, odd_b *= kWideB / 6;
  t[0] = g[0];
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = g[kTaps - 1];
}

template <int kTaps>
void transform_weight(const float* g, int64_t width, bool turned, float* u, int64_t step) {
  // Turned, the taps are read from the last to the first.
  const int64_t next = turned ? -width : width;
  if (turned) g += (kTaps * kTaps - 1) * width;
  for (int64_t first = 0; first < width; first += kHalf, g += kHalf) {
    Doubles rows[kTaps][6];
#pragma GCC unroll 5
    for (int r = 0; r < kTaps; ++r) {
      Doubles taps[kTaps];
#pragma GCC unroll 5
      for (int s = 0; s < kTaps; ++s) taps[s] = load_doubles(g + (kTaps * r + s) * next);
      weight_transform(taps, rows[r]);
    }
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      Doubles column[kTaps], t[6];
#pragma GCC unroll 5
      for (int r = 0; r < kTaps; ++r) column[r] = rows[r][j];
      weight_transform(column, t);
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) store_rounded(u + (6 * i + j) * step + first, t[i]);
    }
  }
}

template <int kTaps>
NEURONA_INLINE void weight_gradient_transform(const Doubles (&t)[6], Doubles (&g)[kTaps]) {
  const Doubles even_a = (t[1] + t[2]) * (-2.0 / 3), odd_a = (t[1] - t[2]) * (-2.0 / 3 * kWideA);
  const Doubles even_b = (t[3] + t[4]) * (1.0 / 6), odd_b = (t[3] - t[4]) * (kWideB / 6);
  g[0] = t[0] + even_a + even_b;
  g[1] = odd_a + odd_b;
  g[2] = even_a * 0.5 + even_b * 2.0;
  if constexpr (kTaps == 5) {
    g[3] = odd_a * 0.5 + odd_b * 2.0;
    g[4] = even_a * 0.25 + even_b * 4.0;
  }
  g[kTaps - 1] += t[5];
}

template <int kTaps>
void transform_weight_gradient(const float* u, int64_t step, int64_t width, float* g) {
  for (int64_t first = 0; first < width; first += kHalf) {
    Doubles rows[kTaps][6];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      Doubles t[6], column[kTaps];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i) t[i] = load_doubles(u + (6 * i + j) * step + first);
      weight_gradient_transform(t, column);
#pragma GCC unroll 5
      for (int r = 0; r < kTaps; ++r) rows[r][j] = column[r];
    }
#pragma GCC unroll 5
    for (int r = 0; r < kTaps; ++r) {
      Doubles taps[kTaps];
      weight_gradient_transform(rows[r], taps);
#pragma GCC unroll 5
      for (int s = 0; s < kTaps; ++s) store_rounded(g + (kTaps * r + s) * width + first, taps[s]);
    }
  }
}

template <int kTile>
NEURONA_INLINE void output_vector(const float* m, int64_t step, int64_t channel, int n,
                                  const WinogradOutput& out) {
  alignas(64) float half[kTile][6][kLanes];
  for (int j = 0; j < 6; ++j) {
    Vec d[6], y[kTile];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) d[i] = load_first(m + (6 * i + j) * step + channel, n);
    output_transform(d, y);
#pragma GCC unroll 4
    for (int i = 0; i < kTile; ++i) store(half[i][j], y[i]);
  }
  const Vec bias = out.bias ? load_first(out.bias + channel, n) : Vec{};
  for (int i = 0; i < out.rows; ++i) {
    Vec d[6], y[kTile];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) d[j] = load(half[i][j]);
    output_transform(d, y);
    float* row = out.y + i * out.line + channel;
#pragma GCC unroll 4
    for (int j = 0; j < kTile; ++j)
      if (j < out.columns)
        store_first(row + j * out.pixel, activate(y[j] + bias, out.activation), n);
  }
}

template <int kTile>
void transform_output(const float* m, int64_t step, int64_t channels, const WinogradOutput& out) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) output_vector<kTile>(m, step, c, kLanes, out);
  if (c < channels) output_vector<kTile>(m, step, c, static_cast<int>(channels - c), out);
}

template <int kTaps>
WinogradTransforms transforms() {
  constexpr int kTile = winograd_tile(kTaps);
  return {transform_forward<Input>, transform_weight<kTaps>, transform_forward<Gradient<kTile>>,
          transform_weight_gradient<kTaps>, transform_output<kTile>};
}

}  // namespace

WinogradKernels winograd_kernels() { return {transforms<3>(), transforms<5>()}; }

}  // namespace neurona::NEURONA_ISA
