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

#include "cuda/product.cuh"
#include "cuda/ptx/cp_async.cuh"
#include "cuda/ptx/ldmatrix.cuh"
#include "cuda/ptx/mma.cuh"

namespace neurona {

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

// Copies parts from a source to shared memory, kWidth (1 or 4) neighbours at a time.
template <int kLines, int kWidth, typename Source>
class PartCopier {
 public:
  __device__ PartCopier(const Source& source, int64_t batch, int64_t first_line)
      : source_(source), batch_(batch) {
    NEURONA_UNROLL
    for (int i = 0; i < kOwnLines; ++i) lines_[i] = source.line(batch, first_line + own_line(i));
  }

  // What lies beyond `depths`, or is not in memory for another reason, is zero.
  __device__ void begin(int64_t first_k, int depths, float* part) const {
    NEURONA_UNROLL
    for (int j = 0; j < kOwnDepths; ++j) {
      const int depth = own_depth(j);
      const bool inside = depth < depths;
      typename Source::Step step{};
      if (inside) step = source_.step(batch_, first_k + depth);
      NEURONA_UNROLL
      for (int i = 0; i < kOwnLines; ++i) {
        const float* from = inside ? source_.address(lines_[i], step) : nullptr;
        float* to = part + word_in_part<kLines, kAlongDepth>(own_line(i), depth);
        begin_copy<4 * kWidth>(to, from ? from : source_.first(), from != nullptr);
      }
    }
  }

 private:
  // Neighbouring threads copy neighbours in memory: along k all of a line's part, else all lines.
  static constexpr bool kAlongDepth = Source::kDepthIsContiguous;
  static constexpr int kAlong = (kAlongDepth ? kDepth : kLines) / kWidth;
  static constexpr int kAside = kProductThreads / kAlong;  // lines, or depths, at once
  static constexpr int kOwnLines = kAlongDepth ? kLines / kAside : 1;
  static constexpr int kOwnDepths = kAlongDepth ? 1 : kDepth / kAside;

  __device__ static int own_line(int i) {
    const int thread = threadIdx.x;
    return kAlongDepth ? thread / kAlong + i * kAside : thread % kAlong * kWidth;
  }
  __device__ static int own_depth(int j) {
    const int thread = threadIdx.x;
    return kAlongDepth ? thread % kAlong * kWidth : thread / kAlong + j * kAside;
  }

  const Source& source_;
  int64_t batch_;
  typename Source::Line lines_[kOwnLines];
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
