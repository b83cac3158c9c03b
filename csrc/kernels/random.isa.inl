// Philox in vectors: one block per lane, four vectors of words per round of kLanes blocks, put in
// the order of the stream by a 4 x 4 transposition within each 128 bits. This file is compiled
// without fused multiply-add, so that a seed gives the same bits on every ISA.
#include "kernels/random.h"

#include "kernels/math.inl"

#if defined(__SSE4_1__) && !defined(__AVX__)
#include <smmintrin.h>
#endif

namespace neurona::NEURONA_ISA {
namespace {

typedef uint64_t WideUintVec __attribute__((vector_size(4 * NEURONA_LANES)));
typedef double WideVec __attribute__((vector_size(8 * NEURONA_LANES)));
typedef uint32_t UnalignedUintVec
    __attribute__((vector_size(4 * NEURONA_LANES), aligned(4), may_alias));

constexpr int kGroups = kLanes / 4;
constexpr int kStep = 4 * kLanes;  // words per step

NEURONA_INLINE UintVec broadcast_word(uint32_t s) { return s - UintVec{}; }

// The 64-bit products of the even 32-bit lanes.
NEURONA_INLINE WideUintVec multiply_even(UintVec a, UintVec b) {
#if defined(__AVX512F__)
  // The form with a mask: GCC 12 warns of an uninitialised value inside the plain one.
  return reinterpret_cast<WideUintVec>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<WideUintVec>(
      _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE4_1__)
  return reinterpret_cast<WideUintVec>(
      _mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const WideUintVec low = 0xffffffffu - WideUintVec{};
  return (reinterpret_cast<WideUintVec>(a) & low) * (reinterpret_cast<WideUintVec>(b) & low);
#endif
}

struct Product {
  UintVec high, low;
};

NEURONA_INLINE Product multiply(UintVec a, uint32_t factor) {
  const UintVec b = broadcast_word(factor);
  const WideUintVec even = multiply_even(a, b);
  const WideUintVec odd =
      multiply_even(reinterpret_cast<UintVec>(reinterpret_cast<WideUintVec>(a) >> 32), b);
  const WideUintVec low_half = 0xffffffffu - WideUintVec{};
  return {reinterpret_cast<UintVec>((even >> 32) | (odd & ~low_half)),
          reinterpret_cast<UintVec>((even & low_half) | (odd << 32))};
}

struct Words {
  UintVec w[4];
};

NEURONA_INLINE Words philox(Words counter, const RandomStream& stream) {
  uint32_t key[2] = {static_cast<uint32_t>(stream.seed), static_cast<uint32_t>(stream.seed >> 32)};
  UintVec* c = counter.w;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const Product first = multiply(c[0], 0xD2511F53u), second = multiply(c[2], 0xCD9E8D57u);
    c[0] = second.high ^ c[1] ^ broadcast_word(key[0]);
    c[2] = first.high ^ c[3] ^ broadcast_word(key[1]);
    c[1] = second.low;
    c[3] = first.low;
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

// Pairs of 32-bit or 64-bit elements from the low or high halves of each 128 bits of a and b,
// alternating.
#if NEURONA_LANES == 4
#define NEURONA_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#define NEURONA_LOW_WORDS(a, b) NEURONA_SHUFFLE(a, b, 0, 4, 1, 5)
#define NEURONA_HIGH_WORDS(a, b) NEURONA_SHUFFLE(a, b, 2, 6, 3, 7)
#define NEURONA_LOW_PAIRS(a, b) NEURONA_SHUFFLE(a, b, 0, 1, 4, 5)
#define NEURONA_HIGH_PAIRS(a, b) NEURONA_SHUFFLE(a, b, 2, 3, 6, 7)
#elif NEURONA_LANES == 8
#define NEURONA_SHUFFLE(a, b, i, j, k, l) \
  __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4)
#define NEURONA_LOW_WORDS(a, b) NEURONA_SHUFFLE(a, b, 0, 8, 1, 9)
#define NEURONA_HIGH_WORDS(a, b) NEURONA_SHUFFLE(a, b, 2, 10, 3, 11)
#define NEURONA_LOW_PAIRS(a, b) NEURONA_SHUFFLE(a, b, 0, 1, 8, 9)
#define NEURONA_HIGH_PAIRS(a, b) NEURONA_SHUFFLE(a, b, 2, 3, 10, 11)
#else
#define NEURONA_SHUFFLE(a, b, i, j, k, l)                                                    \
  __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4, i + 8, j + 8, k + 8, \
                          l + 8, i + 12, j + 12, k + 12, l + 12)
#define NEURONA_LOW_WORDS(a, b) NEURONA_SHUFFLE(a, b, 0, 16, 1, 17)
#define NEURONA_HIGH_WORDS(a, b) NEURONA_SHUFFLE(a, b, 2, 18, 3, 19)
#define NEURONA_LOW_PAIRS(a, b) NEURONA_SHUFFLE(a, b, 0, 1, 16, 17)
#define NEURONA_HIGH_PAIRS(a, b) NEURONA_SHUFFLE(a, b, 2, 3, 18, 19)
#endif

// From "lane l of v[k] is word k of the block in lane l" to vectors that follow each other in the
// stream, given the blocks of block_numbers().
template <typename V>
NEURONA_INLINE void in_stream_order(V v[4]) {
  const V a = NEURONA_LOW_WORDS(v[0], v[1]), b = NEURONA_HIGH_WORDS(v[0], v[1]);
  const V c = NEURONA_LOW_WORDS(v[2], v[3]), d = NEURONA_HIGH_WORDS(v[2], v[3]);
  v[0] = NEURONA_LOW_PAIRS(a, c);
  v[1] = NEURONA_HIGH_PAIRS(a, c);
  v[2] = NEURONA_LOW_PAIRS(b, d);
  v[3] = NEURONA_HIGH_PAIRS(b, d);
}

// The transposition sends the block of lane 4 g + j to the g-th 128 bits of vector j, where block j
// * kGroups + g belongs.
NEURONA_INLINE Words counters(int64_t first_block, const RandomStream& stream) {
  UintVec low{}, high{};
#pragma GCC unroll 16
  for (int lane = 0; lane < kLanes; ++lane) {
    const uint64_t block = static_cast<uint64_t>(first_block) + lane % 4 * kGroups + lane / 4;
    low[lane] = static_cast<uint32_t>(block);
    high[lane] = static_cast<uint32_t>(block >> 32);
  }
  return {{low, high, broadcast_word(static_cast<uint32_t>(stream.offset)),
           broadcast_word(static_cast<uint32_t>(stream.offset >> 32))}};
}

NEURONA_INLINE Words stream_words(const RandomStream& stream, int64_t first_block) {
  return philox(counters(first_block, stream), stream);
}

NEURONA_INLINE IntVec top_24_bits(UintVec word) { return reinterpret_cast<IntVec>(word >> 8); }

// Calls emit(v, i, n) for vectors of elements i .. i + n of a stream, made by vectors(first_block,
// v) for kStep at a time.
template <typename V, typename Vectors, typename Emit>
NEURONA_INLINE void for_each_vector(int64_t first_block, int64_t count, const Vectors& vectors,
                                    const Emit& emit) {
  for (int64_t i = 0; i < count; i += kStep) {
    V v[4];
    vectors(first_block + i / 4, v);
    in_stream_order(v);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const int64_t at = i + j * kLanes, left = count - at;
      if (left > 0) emit(v[j], at, left < kLanes ? static_cast<int>(left) : kLanes);
    }
  }
}

NEURONA_INLINE void put(float* out, Vec v, int n) {
  n == kLanes ? store(out, v) : store_partial(out, v, n);
}

void words(const RandomStream& stream, int64_t first_block, int64_t count, uint32_t* out) {
  for_each_vector<UintVec>(
      first_block, count,
      [&](int64_t block, UintVec v[4]) {
        const Words w = stream_words(stream, block);
        for (int k = 0; k < 4; ++k) v[k] = w.w[k];
      },
      [&](UintVec v, int64_t i, int n) {
        if (n == kLanes) {
          *reinterpret_cast<UnalignedUintVec*>(out + i) = v;
        } else {
          for (int lane = 0; lane < n; ++lane) out[i + lane] = v[lane];
        }
      });
}

void uniform(const RandomStream& stream, int64_t first_block, int64_t count, double low,
             double range, float* out) {
  const double unit = range * 0x1p-24;
  for_each_vector<Vec>(
      first_block, count,
      [&](int64_t block, Vec v[4]) {
        const Words w = stream_words(stream, block);
        for (int k = 0; k < 4; ++k) {
          const WideVec wide = __builtin_convertvector(top_24_bits(w.w[k]), WideVec);
          v[k] = __builtin_convertvector(wide * unit + low, Vec);
        }
      },
      [&](Vec v, int64_t i, int n) { put(out + i, v, n); });
}

// ln((word + 1) 2^-32), to the last bits near 0 too.
NEURONA_INLINE Vec log_of_unit(UintVec word) {
  // Close to 1 the logarithm is that of 1 - d with d = (2^32 - 1 - word) 2^-32, which a float holds
  // to its own last bits.
  const UintVec rest = ~word;
  const IntVec near_one = reinterpret_cast<IntVec>(rest >> 30) == IntVec{};
  const Vec d =
      __builtin_convertvector(reinterpret_cast<IntVec>(rest & 0x3fffffffu), Vec) * 0x1p-32f;
  const Vec near = log_from_parts(-d, Vec{});
  // Otherwise word + 1 in two exact halves; only their sum rounds.
  const UintVec next = word + 1;
  const Vec high = __builtin_convertvector(reinterpret_cast<IntVec>(next >> 16), Vec);
  const Vec low = __builtin_convertvector(reinterpret_cast<IntVec>(next & 0xffffu), Vec);
  return select(near_one, near, log_of_normal((high * 65536.0f + low) * 0x1p-32f));
}

struct SineCosine {
  Vec sine, cosine;
};

// Of 2 pi word 2^-32.
NEURONA_INLINE SineCosine sine_cosine_of_turn(UintVec word) {
  // The nearest quarter turn is exact in integers; the rest is at most an eighth of a turn.
  const UintVec quarter = (word + 0x20000000u) >> 30;
  const IntVec rest = reinterpret_cast<IntVec>(word - (quarter << 30));
  const Vec angle = __builtin_convertvector(rest, Vec) * 1.46291807927e-9f;
  const Vec z = angle * angle;
  const Vec s = angle + angle * z * ((z * -0.000195172979f + 0.008332178f) * z + -0.166666552f);
  const Vec c =
      (1.0f - z * 0.5f) + z * z * ((z * 2.44384501e-05f + -0.00138873677f) * z + 0.0416666456f);
  const IntVec odd = reinterpret_cast<IntVec>(quarter & 1u) != IntVec{};
  const UintVec sine_sign = (quarter & 2u) << 30, cosine_sign = ((quarter + 1) & 2u) << 30;
  return {float_of(bits_of(select(odd, c, s)) ^ reinterpret_cast<IntVec>(sine_sign)),
          float_of(bits_of(select(odd, s, c)) ^ reinterpret_cast<IntVec>(cosine_sign))};
}

void normal(const RandomStream& stream, int64_t first_block, int64_t count, float mean, float std,
            float* out) {
  for_each_vector<Vec>(
      first_block, count,
      [&](int64_t block, Vec v[4]) {
        const Words w = stream_words(stream, block);
        for (int k = 0; k < 4; k += 2) {
          const Vec radius = square_root(log_of_unit(w.w[k]) * -2.0f);
          const SineCosine turn = sine_cosine_of_turn(w.w[k + 1]);
          v[k] = radius * turn.cosine * std + mean;
          v[k + 1] = radius * turn.sine * std + mean;
        }
      },
      [&](Vec v, int64_t i, int n) { put(out + i, v, n); });
}

void dropout(const RandomStream& stream, int64_t first_block, int64_t count, const float* x,
             int32_t threshold, float scale, float* y) {
  const IntVec least = broadcast_int(threshold);
  const Vec factor = broadcast(scale);
  for_each_vector<UintVec>(
      first_block, count,
      [&](int64_t block, UintVec v[4]) {
        const Words w = stream_words(stream, block);
        for (int k = 0; k < 4; ++k) v[k] = w.w[k];
      },
      [&](UintVec v, int64_t i, int n) {
        const Vec value = n == kLanes ? load(x + i) : load_partial(x + i, n);
        put(y + i, select(top_24_bits(v) >= least, value * factor, Vec{}), n);
      });
}

}  // namespace

RandomKernels random_kernels() { return {words, uniform, normal, dropout}; }

}  // namespace neurona::NEURONA_ISA
