// The tile of large products: a strip of a few rows of A, each read where its steps lie side by
// side, times one packed panel of B.
//
// Beside the tiles of gemm_tile.inl it is lower and wider, so that a step has fewer loads and
// instructions per multiply-add (AVX-512: 8 x 48 needs 11 loads for 24 of them, 14 x 32 needs 16
// for 28). That counts where a neighbour on the same core takes half of the issue slots (measured:
// 10 % of a product of n = 1024), and costs nothing where not. Rows are read one float at a time
// through a constant stride: a strip needs no transposition.
//
// Contract: row i of A is a[i * a_stride + 0..depth), all kStripRows rows readable; B is a panel of
// n columns rounded up to whole vectors, followed by kStripVectors readable vectors. The sum over k
// is the same chain as in gemm_tile.inl, so an element's bits do not depend on which tile it was
// in.
#pragma once

#include "kernels/gemm_tile.inl"

namespace neurona::NEURONA_ISA {
namespace {

#if defined(NEURONA_ISA_avx512)
constexpr int kStripRows = 8;  // 24 accumulators + 3 + 2 of B + 1 of A of 32 registers
constexpr int kStripVectors = 3;
// So many of B's vectors are loaded a step before their use, which hides the latency of L2 without
// a prefetch instruction for each line. A third one would fit, but not with GCC's allocation.
constexpr int kVectorsAhead = 2;
// So many rows go into their multiply-adds from memory instead of a broadcast of their own: one
// instruction less for two loads more. Only the first row of a pair can, because with an index
// register such a multiply-add is two instructions again. Three rows are the best trade (a tile
// beside a busy neighbour is 1 to 3 % slower with two or four, 5 % with none).
constexpr int kRowsFromMemory = 3;
#elif defined(NEURONA_ISA_neon)
constexpr int kStripRows = 8;  // 16 accumulators + 2 + 2 of B + 2 of A of 32 registers
constexpr int kStripVectors = 2;
constexpr int kVectorsAhead = 2;
constexpr int kRowsFromMemory = 0;  // no such instruction
#else
constexpr int kStripRows = 6;  // 12 accumulators + 2 of B + 1 of A of 16 registers
constexpr int kStripVectors = 2;
constexpr int kVectorsAhead = 0;    // no register is left; lines are prefetched instead
constexpr int kRowsFromMemory = 0;  // no such instruction
#endif

constexpr int kStripUnroll = 4;  // 8 and 16 steps are 3 and 11 % slower: the loop outgrows the
                                 // decoded-instruction cache that a neighbour shares

static_assert(kStripStep == 2 * kStripUnroll, "half of the steps ask for `depth` floats");

// Two rows hang on one pointer: one right behind it and one a stride away.
constexpr int kRowsPerPointer = 2;
template <int M>
constexpr int kRowPointers = (M + kRowsPerPointer - 1) / kRowsPerPointer;

template <int M, int V>
NEURONA_INLINE void strip_step(Vec (&acc)[M][V], const float* const (&a)[kRowPointers<M>],
                               int64_t stride, int step, const Vec (&bv)[V]) {
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    const int pair = i / kRowsPerPointer, second = i % kRowsPerPointer;
    const float* element = a[pair] + second * stride + step;
    if (!second && pair < kRowsFromMemory) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiply_add_element(acc[i][v], element, bv[v]);
    } else {
      const Vec ai = broadcast(*element);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiply_add(acc[i][v], ai, bv[v]);
    }
  }
  asm volatile("" ::: "memory");  // as in columns_tile: no load moves up over steps
}

// As many whole groups of kStripUnroll steps as `steps` holds; one line of what comes next is asked
// for per group.
template <int M, int V>
NEURONA_INLINE void strip_steps(Vec (&acc)[M][V], const float* (&a)[kRowPointers<M>],
                                int64_t stride, const float*& b, int64_t steps, const float*& ahead,
                                int64_t ahead_step) {
  constexpr int kAhead = kVectorsAhead < V ? kVectorsAhead : V;
  Vec bv[2][V];
  if (steps >= kStripUnroll)
#pragma GCC unroll 4
    for (int v = 0; v < kAhead; ++v) bv[0][v] = load(b + v * kLanes);
  for (; steps >= kStripUnroll; steps -= kStripUnroll) {
    __builtin_prefetch(ahead, 0, 2);
    ahead += ahead_step;
    if constexpr (kAhead == 0) prefetch_panel<V * kLanes>(b, steps);
#pragma GCC unroll 4
    for (int u = 0; u < kStripUnroll; ++u) {
      const float* now = b + u * V * kLanes;
#pragma GCC unroll 4
      for (int v = kAhead; v < V; ++v) bv[u % 2][v] = load(now + v * kLanes);
#pragma GCC unroll 4
      for (int v = 0; v < kAhead; ++v) bv[(u + 1) % 2][v] = load(now + (V + v) * kLanes);
      strip_step<M, V>(acc, a, stride, u, bv[u % 2]);
    }
    b += kStripUnroll * V * kLanes;
#pragma GCC unroll 8
    for (int p = 0; p < kRowPointers<M>; ++p) a[p] += kStripUnroll;
  }
}

template <int M, int V>
void strip_tile_of_width(int m, int n, const StripRows& rows, const float* b, int64_t depth,
                         const TileOutput& out) {
  Vec acc[M][V];
  clear(acc);
  const float* a[kRowPointers<M>];
#pragma GCC unroll 8
  for (int p = 0; p < kRowPointers<M>; ++p) a[p] = rows.a + kRowsPerPointer * p * rows.stride;

  // The next strip's rows come from L3 or beyond: two of them are brought into L2, one during the
  // first half of the steps and one during the second (6 % of a product of n = 1024), or two in
  // each half, by a larger next_step. C's turn is between the halves. Into L2 as well: in L1 it
  // would not last, since B's stream drives it out, the faster where rows a power of two apart
  // share a set. More parts would cost more, because each ends with a mispredicted branch (a third
  // one 1.5 to 2 % of a tile beside a busy neighbour).
  const int64_t half = depth / 2 / kStripUnroll * kStripUnroll;
#pragma GCC unroll 1
  for (int part = 0; part < 2; ++part) {
    const float* ahead = rows.next ? rows.next + part * rows.next_stride : rows.a;
    if (part == 1) prefetch_output<V, 2>(m, out);
    strip_steps<M, V>(acc, a, rows.stride, b, part == 0 ? half : depth - half, ahead,
                      rows.next ? rows.next_step : 0);
  }
  for (int64_t k = depth % kStripUnroll; k > 0; --k, b += V * kLanes) {
    Vec bv[V];
    load_b<V, false>(bv, b, 0);
    strip_step<M, V>(acc, a, rows.stride, 0, bv);
#pragma GCC unroll 8
    for (int p = 0; p < kRowPointers<M>; ++p) ++a[p];
  }
  finish<M, V>(acc, m, n, out);
}

template <int V>
void strip_tile_by_width(int m, int n, const StripRows& rows, const float* b, int64_t depth,
                         const TileOutput& out) {
  if constexpr (V > 1) {
    if (n <= (V - 1) * kLanes) return strip_tile_by_width<V - 1>(m, n, rows, b, depth, out);
  }
  strip_tile_of_width<kStripRows, V>(m, n, rows, b, depth, out);
}

void strip_tile(int m, int n, const StripRows& rows, const float* b, int64_t depth,
                const TileOutput& out) {
  strip_tile_by_width<kStripVectors>(m, n, rows, b, depth, out);
}

}  // namespace
}  // namespace neurona::NEURONA_ISA
