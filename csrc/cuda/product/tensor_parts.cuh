// The operands of tensor_product.cuh in shared memory: how they come there and how a warp reads
// them.
//
// A part of an operand, kLines lines and kDepth (16) elements of each, lies there as float32, the
// way it comes from memory: as [line][depth] where neighbours along k are neighbours in memory, as
// [depth][line] otherwise, without gaps. Copies and the reads of a warp meet each of the 32 banks
// once, because groups of words change places:
//
//   [line][depth]   Two lines are all banks, in 8 groups of 4 words. ldmatrix reads the same group
//                   of 8 lines that follow each other, which would be the same 8 banks 4 times; so
//                   group i of line l lies where group i ^ l / 2 % 4 would.
//   [depth][line]   A row's length is a multiple of 32 words. A warp reads 8 lines that follow each
//                   other, at 4 depths, which would be the same 8 banks 4 times; so the groups of 8
//                   lines, i of depth d, lie where i ^ d % 4 would.
#pragma once

#include "cuda/product/part_copier.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/ptx/ldmatrix.cuh"
#include "cuda/ptx/mma.cuh"

namespace neurona {

constexpr int kDepth = 16;

template <int kLines, bool kDepthIsContiguous>
__host__ __device__ constexpr int word_in_part(int line, int depth) {
  if constexpr (kDepthIsContiguous)
    return line * kDepth + (depth ^ 4 * (line / 2 % 4));
  else
    return depth * kLines + (line ^ 8 * (depth % 4));
}

// Whether the 8 lines and 4 depths that a warp reads at once are in 32 banks, wherever they begin.
template <int kLines, bool kDepthIsContiguous>
constexpr bool reads_meet_all_banks() {
  for (int first = 0; first < kLines * kDepth / 4; first += 8) {
    uint32_t banks = 0;
    for (int i = 0; i < kWarpSize; ++i) {
      const int line = first % kLines + i / 4, depth = first / kLines * 4 + i % 4;
      banks |= uint32_t{1} << word_in_part<kLines, kDepthIsContiguous>(line, depth) % 32;
    }
    if (banks != kAllLanes) return false;
  }
  return true;
}
static_assert(reads_meet_all_banks<64, true>() && reads_meet_all_banks<128, true>());
static_assert(reads_meet_all_banks<64, false>() && reads_meet_all_banks<128, false>());

struct TensorLayout {
  static constexpr bool kTransposes = false;
  template <int kLines, bool kDepthIsContiguous>
  __device__ static int word(int line, int depth) {
    return word_in_part<kLines, kDepthIsContiguous>(line, depth);
  }
};

// A lane's words of 16 lines, from base + line, and 8 depths: with g = lane / 4 and t = lane % 4
// those of (g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4). The base is a multiple of all of a
// warp's lines, so that base + line has the bits of both, and what the places of all words have in
// common is computed once: sums and exclusive ors of the rest are known to the compiler.
template <int kLines, bool kDepthIsContiguous>
__device__ inline void load_words(const float* part, int base, int line, int depth,
                                  uint32_t (&words)[4]) {
  const int lane = threadIdx.x % kWarpSize;
  if constexpr (kDepthIsContiguous) {
    const int own = word_in_part<kLines, true>(base + lane % 16, lane / 16 * 4);
    load_matrices(words, part + line * kDepth + (own ^ depth));
  } else {
    const int own = word_in_part<kLines, false>(base + lane / 4, lane % 4);
    NEURONA_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int column = line + i % 2 * 8, row = depth + i / 2 * 4;
      words[i] = __float_as_uint(part[row * kLines + column / 32 * 32 + (own ^ column % 32)]);
    }
  }
}

// The same as elements of Number, in one word each as mma.sync takes them: kDepth = 8 kPerWord
// depths from `depth`. Two elements of a word lie 8 depths apart, not side by side; that is another
// order of the sum, and the same one for both operands.
template <typename Number, int kLines, bool kDepthIsContiguous>
__device__ inline void load_fragment(const float* part, int base, int line, int depth,
                                     uint32_t (&held)[4]) {
  uint32_t words[Number::kPerWord][4];
  NEURONA_UNROLL
  for (int which = 0; which < Number::kPerWord; ++which)
    load_words<kLines, kDepthIsContiguous>(part, base, line, depth + 8 * which, words[which]);
  NEURONA_UNROLL
  for (int i = 0; i < 4; ++i) {
    float values[Number::kPerWord];
    NEURONA_UNROLL
    for (int which = 0; which < Number::kPerWord; ++which)
      values[which] = __uint_as_float(words[which][i]);
    held[i] = Number::word(values);
  }
}

}  // namespace neurona
