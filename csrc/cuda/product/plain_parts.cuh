// The operands of product.cuh in shared memory: how they lie there, and how threads multiply them.
//
// A thread multiplies runs of 4 lines of each operand, and 4 depths of them (a quad) at a time: a
// load of 16 bytes gives it 4 depths of a line, or 4 lines of a depth, whichever are neighbours in
// memory and so come with one copy. Loads and copies of 8 threads meet each of the 32 banks once
// (of 16 lines there are but 4 runs to load, each for two of the threads):
//
//   [depth][line]   8 neighbouring threads read neighbouring runs: 32 words in a row.
//   [line][depth]   They read one quad of every fourth line. So lines lie in four groups, each of
//                   one line of every run; and 8 lines in a row, one below the other, have the quad
//                   in 8 different places, because quads change places within their line. Copies
//                   of neighbouring lines, which are a whole group apart, meet all banks too: of
//                   every other group, neighbours have changed places.
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
// Of line 4 run + within.
template <int kLines, int kDepths, bool kDepthIsContiguous>
__host__ __device__ constexpr int plain_word(int run, int within, int depth) {
  if constexpr (!kDepthIsContiguous) return depth * kLines + kRunLines * run + within;
  return within * (kLines / kRunLines) * kDepths +
         (own_word<kDepths>(run ^ within % 2) ^ depth / kQuad * kQuad) + depth % kQuad;
}

template <int kDepths>
struct PlainLayout {
  template <int kLines, bool kDepthIsContiguous>
  __device__ static int word(int line, int depth) {
    return plain_word<kLines, kDepths, kDepthIsContiguous>(line / kRunLines, line % kRunLines,
                                                           depth);
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
      read |= 1 << plain_word<kLines, kDepths, true>(run, within, kQuad * quad) / kQuad % 8;
      const int line = (first + i) * kQuad / kDepths, depth = (first + i) * kQuad % kDepths;
      copied |= 1 << plain_word<kLines, kDepths, true>(line / kRunLines, line % kRunLines, depth) /
                         kQuad % 8;
    }
    if (std::popcount(unsigned(read)) != kRead || copied != 0xff) return false;
  }
  return true;
}
static_assert(quads_meet_all_banks<16, 64>() && quads_meet_all_banks<32, 32>() &&
              quads_meet_all_banks<64, 32>() && quads_meet_all_banks<64, 16>() &&
              quads_meet_all_banks<128, 16>());

__device__ inline void load_four(const float* from, float (&values)[4]) {
  const float4 four = *reinterpret_cast<const float4*>(from);
  values[0] = four.x;
  values[1] = four.y;
  values[2] = four.z;
  values[3] = four.w;
}

// What a thread has of a part: its runs are first_run, first_run + kNextRun, .., its quads the
// given ones behind first_quad (0 to 3, which no multiple of 4 changes).
template <int kLines, int kDepths, bool kDepthIsContiguous>
struct PartView {
  static constexpr bool kAlongDepth = kDepthIsContiguous;
  static constexpr int kRuns = kRunsOfThread<kLines>;
  static constexpr int kNextRun = kSpan<kLines> / kRunLines;
  const float* memory;
  int word;  // first_word() of the part that is read, from `memory` on

  __device__ static int first_word(int first_run, int first_quad) {
    return kAlongDepth ? own_word<kDepths>(first_run) ^ kQuad * first_quad
                       : kRunLines * first_run + kQuad * first_quad * kLines;
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
      load_four(memory + word + depth * kLines + i * kSpan<kLines>, values[i]);
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

// sums[i][j] += a(i, k) b(j, k) for 4 ascending k. Of b no more is held than a line or a depth:
// with 64 sums and a quad of 8 lines of a, there are 128 registers.
template <typename ViewA, typename ViewB>
__device__ inline void multiply_quad(const ViewA& a, const ViewB& b, int quad,
                                     Run<4> (&sums)[4 * ViewA::kRuns][ViewB::kRuns]) {
  constexpr int kRows = 4 * ViewA::kRuns, kColumns = 4 * ViewB::kRuns;
  const auto add = [&](int i, int j, float left, float right) {
    float& sum = sums[i][j / 4].at[j % 4];
    sum = fmaf(left, right, sum);
  };
  if constexpr (ViewB::kAlongDepth) {
    float left[kRows][kQuad];
    a.load_quad(quad, left);
    NEURONA_UNROLL
    for (int j = 0; j < kColumns; ++j) {
      float right[kQuad];
      b.load_line(j, quad, right);
      NEURONA_UNROLL
      for (int i = 0; i < kQuad * kRows; ++i)
        add(i % kRows, j, left[i % kRows][i / kRows], right[i / kRows]);
    }
  } else if constexpr (ViewA::kAlongDepth) {
    float left[kRows][kQuad];
    a.load_quad(quad, left);
    NEURONA_UNROLL
    for (int k = 0; k < kQuad; ++k) {
      float right[ViewB::kRuns][4];
      b.load_depth(kQuad * quad + k, right);
      NEURONA_UNROLL
      for (int i = 0; i < kRows * kColumns; ++i)
        add(i / kColumns, i % kColumns, left[i / kColumns][k], right[i % kColumns / 4][i % 4]);
    }
  } else {
    NEURONA_UNROLL
    for (int k = 0; k < kQuad; ++k) {
      float left[ViewA::kRuns][4], right[ViewB::kRuns][4];
      a.load_depth(kQuad * quad + k, left);
      b.load_depth(kQuad * quad + k, right);
      NEURONA_UNROLL
      for (int i = 0; i < kRows * kColumns; ++i)
        add(i / kColumns, i % kColumns, left[i / kColumns / 4][i / kColumns % 4],
            right[i % kColumns / 4][i % 4]);
    }
  }
}

}  // namespace neurona
