// The operands of product.cuh in shared memory: how they lie there, and how threads multiply them.
//
// A thread multiplies runs of 4 lines of each operand, and 4 depths of them (a quad) at a time: a
// load of 16 bytes gives it 4 lines of a depth, or 4 depths of a line. Loads and copies of 8
// threads meet each of the 32 banks once (of 16 lines there are but 4 runs to load, each for two of
// the threads):
//
//   [depth][line]   8 neighbouring threads read neighbouring runs: 32 words in a row.
//   [line][depth]   They read one quad of every fourth line. So lines lie in four groups, each of
//                   one line of every run; and 8 lines in a row, one below the other, have the quad
//                   in 8 different places, because quads change places within their line. Copies
//                   of neighbouring lines, which are a whole group apart, meet all banks too: of
//                   every other group, neighbours have changed places.
//
// An operand lies as memory has it, so that 4 neighbours come with one copy, or the layout
// transposes: both operands lie as [depth][line], what is along the depth in memory comes in single
// elements, and rows have a gap of 4 words, so that 8 depths of 4 lines, which a warp copies at
// once, are in 32 banks. Where quads of both operands are loaded a thread holds twice as much, and
// more multiplications find two of their factors in one bank of the registers: that is why large
// tiles transpose.
#pragma once

#include <bit>

#include "cuda/device.h"
#include "cuda/product/epilogue.cuh"
#include "cuda/product/part_copier.cuh"

namespace neurona {

constexpr int kRunLines = 4, kQuad = 4;
// Of kLines lines a thread has as many runs, so many lines apart: threads are side by side 16 runs
// long, of 64 lines or fewer 8, of 16 lines 4.
template <int kLines>
constexpr int kSpan = kLines > 64   ? 64
                      : kLines > 16 ? 32
                                    : 16;
template <int kLines>
constexpr int kRunsOfThread = kLines / kSpan<kLines>;

// Where the rows of a run's lines begin, and how their quads change places: the bits of the run
// itself, so that own_word(a ^ b) is own_word(a) ^ own_word(b).
template <int kDepths>
__host__ __device__ constexpr int own_word(int run) {
  constexpr int kQuads = kDepths / kQuad;
  return run * kDepths + kQuad * (run * kQuads / 8 % kQuads);
}
// Of line 4 run + within, in an operand that lies as [line][depth].
template <int kLines, int kDepths>
__host__ __device__ constexpr int word_of_line(int run, int within, int depth) {
  return within * (kLines / kRunLines) * kDepths +
         (own_word<kDepths>(run ^ within % 2) ^ depth / kQuad * kQuad) + depth % kQuad;
}

template <int kDepthsOfPart, bool kMayTranspose>
struct PlainLayout {
  static constexpr int kDepths = kDepthsOfPart;
  static constexpr bool kTransposes = kMayTranspose;
  template <int kLines>
  static constexpr int kRow = kLines + (kTransposes ? 4 : 0);  // of [depth][line]
  template <bool kDepthIsContiguous>
  static constexpr bool kIsAlongDepth = kDepthIsContiguous && !kTransposes;

  template <int kLines, bool kDepthIsContiguous>
  __host__ __device__ static constexpr int word(int line, int depth) {
    if constexpr (kIsAlongDepth<kDepthIsContiguous>)
      return word_of_line<kLines, kDepths>(line / kRunLines, line % kRunLines, depth);
    else
      return depth * kRow<kLines> + line;
  }
};

// Whether the quads that 8 threads read at once are in different banks, and those that they copy.
template <int kLines, int kDepths>
constexpr bool quads_meet_all_banks() {
  constexpr int kRead = kLines < 32 ? 4 : 8;
  for (int first = 0; first < kLines * kDepths / kQuad; first += 8) {
    int read = 0, copied = 0;
    for (int i = 0; i < 8; ++i) {
      const int run = first % (kLines / kRunLines) + i % kRead, rest = first / (kLines / kRunLines),
                within = rest % kRunLines, quad = rest / kRunLines;
      read |= 1 << word_of_line<kLines, kDepths>(run, within, kQuad * quad) / kQuad % 8;
      const int line = (first + i) * kQuad / kDepths, depth = (first + i) * kQuad % kDepths;
      copied |=
          1 << word_of_line<kLines, kDepths>(line / kRunLines, line % kRunLines, depth) / kQuad % 8;
    }
    if (std::popcount(unsigned(read)) != kRead || copied != 0xff) return false;
  }
  return true;
}
static_assert(quads_meet_all_banks<16, 64>() && quads_meet_all_banks<32, 32>() &&
              quads_meet_all_banks<64, 32>() && quads_meet_all_banks<64, 16>() &&
              quads_meet_all_banks<128, 16>());

// Whether the 8 depths of 4 lines that a warp copies at once, where it transposes, are in different
// banks.
template <int kLines>
constexpr bool transposed_meet_all_banks() {
  uint32_t banks = 0;
  for (int i = 0; i < kWarpSize; ++i)
    banks |= uint32_t{1} << PlainLayout<16, true>::word<kLines, true>(i / 8, i % 8) % 32;
  return banks == kAllLanes;
}
static_assert(transposed_meet_all_banks<16>() && transposed_meet_all_banks<32>() &&
              transposed_meet_all_banks<64>() && transposed_meet_all_banks<128>() &&
              transposed_meet_all_banks<256>());

__device__ inline void load_four(const float* from, float (&values)[4]) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  values[0] = four.x;
  values[1] = four.y;
  values[2] = four.z;
  values[3] = four.w;
}

// What a thread has of a part: its runs are first_run, first_run + kNextRun, .., its quads the
// given ones behind first_quad (0 to 3, which no multiple of 4 changes).
template <int kLines, typename Layout, bool kDepthIsContiguous>
struct PartView {
  static constexpr bool kAlongDepth = Layout::template kIsAlongDepth<kDepthIsContiguous>;
  static constexpr int kDepths = Layout::kDepths, kRow = Layout::template kRow<kLines>;
  static constexpr int kRuns = kRunsOfThread<kLines>;
  static constexpr int kNextRun = kSpan<kLines> / kRunLines;
  const float* memory;
  int word;  // first_word() of the part that is read, from `memory` on

  __device__ static int first_word(int first_run, int first_quad) {
    return kAlongDepth ? own_word<kDepths>(first_run) ^ kQuad * first_quad
                       : kRunLines * first_run + kQuad * first_quad * kRow;
  }

  // 4 depths of its line i. A part begins at a multiple of what an exclusive or may change.
  __device__ void load_line(int i, int quad, float (&values)[kQuad]) const {
    const int rows = i % kRunLines * (kLines / kRunLines) + i / kRunLines * kNextRun;
    load_four(memory + rows * kDepths + (word ^ own_word<kDepths>(i % 2) ^ kQuad * quad), values);
  }
  // All its lines at one depth.
  __device__ void load_depth(int depth, float (&values)[kRuns][kRunLines]) const {
    NEURONA_UNROLL
    for (int i = 0; i < kRuns; ++i)
      load_four(memory + word + depth * kRow + i * kSpan<kLines>, values[i]);
  }
  // All its lines and 4 depths, as [line][depth].
  __device__ void load_quad(int quad, float (&values)[kRuns * kRunLines][kQuad]) const {
    NEURONA_UNROLL
    for (int i = 0; i < kRuns * kRunLines; ++i)
      if constexpr (kAlongDepth) {
        load_line(i, quad, values[i]);
      } else if (i < kQuad) {
        float lines[kRuns][kRunLines];
        load_depth(kQuad * quad + i, lines);
        NEURONA_UNROLL
        for (int j = 0; j < kRuns * kRunLines; ++j)
          values[j][i] = lines[j / kRunLines][j % kRunLines];
      }
  }
};

// What the products of a quad begin with, which is loaded while those before it are made: of b a
// line or a depth, of a the quad, or where neither operand lies along the depth, that depth.
template <typename ViewA, typename ViewB>
struct QuadBegin {
  static constexpr bool kHasQuad = ViewA::kAlongDepth || ViewB::kAlongDepth;
  float left[kHasQuad ? kRunLines * ViewA::kRuns : ViewA::kRuns][4];
  float right[ViewB::kAlongDepth ? 1 : ViewB::kRuns][4];

  __device__ void load(const ViewA& a, const ViewB& b, int quad) {
    if constexpr (kHasQuad)
      a.load_quad(quad, left);
    else
      a.load_depth(kQuad * quad, left);
    if constexpr (ViewB::kAlongDepth)
      b.load_line(0, quad, right[0]);
    else
      b.load_depth(kQuad * quad, right);
  }
  __device__ float left_of(int row, int k) const {
    if constexpr (kHasQuad)
      return left[row][k];
    else
      return left[row / kRunLines][row % kRunLines];
  }
};

// The place of step i in rows that are walked to and fro.
__device__ constexpr int winding(int i, int length) {
  return i / length % 2 == 0 ? i % length : length - 1 - i % length;
}

// sums[i][j] += a(i, k) b(j, k) for 4 ascending k, from what `begin` has on; before the last of b's
// lines or depths is multiplied, load_next(begin) loads what follows. Of b no more is held than two
// lines or depths: with 64 sums and a quad of 8 lines of a, there are 128 registers.
//
// Which sum gets its next product is free. The registers lie in two banks, the odd ones and the
// even ones, of which each gives one a cycle, and ptxas spares reading again what the product
// before has read: so neighbours have a factor in common, and the others come from the banks in
// turns. The elements of one depth of a's quads have been loaded to one bank: there columns go by
// turns.
template <typename ViewA, typename ViewB, typename LoadNext>
__device__ inline void multiply_quad(const ViewA& a, const ViewB& b, int quad,
                                     QuadBegin<ViewA, ViewB>& begin,
                                     Run<4> (&sums)[4 * ViewA::kRuns][ViewB::kRuns],
                                     const LoadNext& load_next) {
  constexpr int kRows = 4 * ViewA::kRuns, kColumns = 4 * ViewB::kRuns;
  const auto add = [&](int i, int j, float left, float right) {
    float& sum = sums[i][j / 4].at[j % 4];
    sum = fmaf(left, right, sum);
  };
  QuadBegin<ViewA, ViewB> now = begin;
  if constexpr (ViewB::kAlongDepth) {
    NEURONA_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      float next[kQuad] = {};
      if (j + 1 < kColumns)
        b.load_line(j + 1, quad, next);
      else
        load_next(begin);
      NEURONA_UNROLL
      for (int i = 0; i < kQuad * kRows; ++i) {
        const int row = winding(i, kRows), k = i / kRows;
        add(row, j, now.left[row][k], now.right[0][k]);
      }
      NEURONA_UNROLL
      for (int k = 0; k < kQuad; ++k) now.right[0][k] = next[k];
    }
  } else {
    NEURONA_UNROLL
    for (int k = 0; k < kQuad; ++k) {
      QuadBegin<ViewA, ViewB> next = now;
      if (k + 1 == kQuad) {
        load_next(begin);
      } else {
        if constexpr (!ViewA::kAlongDepth) a.load_depth(kQuad * quad + k + 1, next.left);
        b.load_depth(kQuad * quad + k + 1, next.right);
      }
      NEURONA_UNROLL
      for (int i = 0; i < kRows * kColumns; ++i) {
        const int row = ViewA::kAlongDepth ? i / kColumns : winding(i, kRows),
                  column = ViewA::kAlongDepth ? winding(i, kColumns) : i / kRows;
        add(row, column, now.left_of(row, k), now.right[column / 4][column % 4]);
      }
      now = next;
    }
  }
}

}  // namespace neurona
