// The micro-kernel: one tile of C = A * B, m rows times n columns, accumulated in registers over
// the whole summed dimension.
//
// Contract: A is read by broadcasting single floats, either step-major (tile_columns) or through
// one pointer per row (tile_rows; rows of a variant beyond m repeat row 0); B is read as whole
// vectors, b_step floats apart, so n columns are rounded up to whole vectors of readable memory,
// unless the tile is masked. C is overwritten, or added to when out.accumulate; when not
// accumulating C is never read (it may hold NaN). Accumulators start at zero and are added to bias
// and C once, at the end: the sum over k is one chain per element, in order, whatever m, n and the
// tile variant are, so that an element's bits do not depend on where the tiles are cut.
#pragma once

#include "kernels/activate.inl"
#include "kernels/gemm.h"
#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

// Rows x vectors of the tile. The accumulators, one B vector per column group and one broadcast of
// A must fit the register file, and there must be at least latency x ports = 8 accumulators to keep
// two multiply-add units busy.
#if defined(NEURONA_ISA_avx512)
constexpr int kTileRows =
    14;  // 28 accumulators + 2 of B of 32 registers; A comes from memory by embedded broadcast
constexpr int kPointerRows =
    12;  // 12 row pointers + B, k and bound are 15 of the 15 usable general registers
#elif defined(NEURONA_ISA_neon)
constexpr int kTileRows =
    8;  // 16 accumulators + 2 of B + 2 of A; 24 accumulators spill with GCC-allocated code
constexpr int kPointerRows = 8;
#else
constexpr int kTileRows = 6;  // 12 accumulators + 2 of B + 1 of A of 16 registers
constexpr int kPointerRows = 6;
#endif
constexpr int kTileVectors = 2;
static_assert(kPointerRows <= kTileRows,
              "the packed tile must be at least as high as the pointer tile");

// Bias, accumulation, activation and the only store of one row of the tile.
template <int V>
NEURONA_INLINE void finish_row(const float* sums, float* c, int n, const TileOutput& out) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const int valid = n - v * kLanes;
    if (valid <= 0) break;
    const bool full = valid >= kLanes;
    Vec sum = load(sums + v * kLanes) * broadcast(out.alpha);
    if (out.bias)
      sum += full ? load(out.bias + v * kLanes) : load_partial(out.bias + v * kLanes, valid);
    if (out.accumulate) sum += full ? load(c + v * kLanes) : load_partial(c + v * kLanes, valid);
    sum = activate(sum, out.activation);
    if (full) {
      store(c + v * kLanes, sum);
    } else {
      store_partial(c + v * kLanes, sum, valid);
    }
  }
}

// The usual end of a tall tile, straight from the registers: alpha == 1, and all columns valid or,
// with Tail, all vectors but the last one. What is not done is known beforehand, so that the rows
// need no branches; a whole tile of a plain product (kStore, kAdd) is nothing but its stores.
enum class TileEnd { kStore, kAdd, kAny };
template <int M, int V, bool Tail, TileEnd End>
NEURONA_INLINE void finish_in_registers(const Vec (&acc)[M][V], int m, int n,
                                        const TileOutput& out) {
  const int tail = n - (V - 1) * kLanes;
  Vec bias[V];
  if (End == TileEnd::kAny)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      bias[v] = !out.bias            ? Vec{}
                : Tail && v == V - 1 ? load_partial(out.bias + v * kLanes, tail)
                                     : load(out.bias + v * kLanes);
  const bool accumulate = out.accumulate;
  const TileActivation activation = out.activation;
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    if (End == TileEnd::kAny && i >= m) return;
    float* c = out.rows[i];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const bool partial = Tail && v == V - 1;
      Vec sum = acc[i][v];
      if (End == TileEnd::kAny) sum += bias[v];
      if (End == TileEnd::kAdd || (End == TileEnd::kAny && accumulate))
        sum += partial ? load_partial(c + v * kLanes, tail) : load(c + v * kLanes);
      if (End == TileEnd::kAny) sum = activate(sum, activation);
      if (partial) {
        store_partial(c + v * kLanes, sum, tail);
      } else {
        store(c + v * kLanes, sum);
      }
    }
  }
}

template <int M, int V, bool Tail>
NEURONA_INLINE void finish_in_registers(const Vec (&acc)[M][V], int m, int n,
                                        const TileOutput& out) {
  if (m < M || out.bias || out.activation != TileActivation::kNone) {
    finish_in_registers<M, V, Tail, TileEnd::kAny>(acc, m, n, out);
  } else if (out.accumulate) {
    finish_in_registers<M, V, Tail, TileEnd::kAdd>(acc, m, n, out);
  } else {
    finish_in_registers<M, V, Tail, TileEnd::kStore>(acc, m, n, out);
  }
}

// Tiles of many accumulators end in registers, with a partial last vector where masked stores are
// cheap; for the rest the accumulators go through a buffer, because an epilogue unrolled over all
// of them costs several KiB of code per variant.
template <int M, int V>
NEURONA_INLINE void finish(const Vec (&acc)[M][V], int m, int n, const TileOutput& out) {
  if constexpr (M >= kPointerRows || M * V >= 20) {
    if (out.alpha == 1.0f) {
      if (n == V * kLanes) return finish_in_registers<M, V, false>(acc, m, n, out);
#if defined(NEURONA_ISA_avx512)
      return finish_in_registers<M, V, true>(acc, m, n, out);
#endif
    }
  }
  alignas(64) float sums[M][V * kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(&sums[i][v * kLanes], acc[i][v]);
  for (int i = 0; i < m; ++i) finish_row<V>(sums[i], out.rows[i], n, out);
}

template <int M, int V>
NEURONA_INLINE void clear(Vec (&acc)[M][V]) {
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) acc[i][v] = Vec{};
}

// Loads of a row of B; the last vector of a masked tile stops at column n, so that nothing behind
// it is read.
template <int V, bool Masked>
NEURONA_INLINE void load_b(Vec (&bv)[V], const float* b, int tail) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v)
    bv[v] = Masked && v == V - 1 ? load_partial(b + v * kLanes, tail) : load(b + v * kLanes);
}

// acc += a * b. By name where there is an instruction for it: left free, GCC renames the
// accumulators between the unrolled steps of a full tile and spills some of them (measured on
// AVX-512: 17 cycles a step instead of 15).
NEURONA_INLINE void multiply_add(Vec& acc, Vec a, Vec b) {
#if defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
#else
  acc += a * b;
#endif
}

// acc += b * *a and acc += b * a[0..kLanes), where the operand in memory is used just once: one
// instruction instead of two (a seventh of LeNet's convolutions when a neighbour on the core takes
// half of the issue slots).
NEURONA_INLINE void multiply_add_element(Vec& acc, const float* a, Vec b) {
#if defined(__AVX512F__)
  asm("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(acc) : "v"(b), "m"(*a));
#else
  multiply_add(acc, broadcast(*a), b);
#endif
}
NEURONA_INLINE void multiply_add_vector(Vec& acc, const float* a, Vec b) {
#if defined(__FMA__)
  asm("vfmadd231ps %2, %1, %0"
      : "+v"(acc)
      : "v"(b), "m"(*reinterpret_cast<const float (*)[kLanes]>(a)));
#else
  acc += load(a) * b;
#endif
}

// One step of the summed dimension.
template <int M, int V, bool Masked>
NEURONA_INLINE void step(Vec (&acc)[M][V], const float* a, const float* b, int tail) {
  Vec bv[V];
  load_b<V, Masked>(bv, b, tail);
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    if constexpr (V == 1) {
      multiply_add_element(acc[i][0], a + i, bv[0]);
    } else {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiply_add(acc[i][v], broadcast(a[i]), bv[v]);
    }
  }
}

// Panels stream from L2, so four steps of `floats` floats each are asked for kPrefetchSteps ahead;
// near the end of the `steps` left the address stays inside the panel, because a page behind a
// packed buffer may never have been touched, and a prefetch from such a page walks the page table
// every time (measured: 2000 cycles a panel).
constexpr int kPrefetchSteps = 16;
template <int floats>
NEURONA_INLINE void prefetch_panel(const float* panel, int64_t steps) {
  const float* ahead = steps >= 4 + kPrefetchSteps ? panel + kPrefetchSteps * floats : panel;
#pragma GCC unroll 16
  for (int line = 0; line < 4 * floats / 16; ++line) __builtin_prefetch(ahead + line * 16);
}

// Asks for the rows of C before a k-loop of some length: they come from L2 or L3, and the end of a
// tile would wait for all of them at once. Locality 3 brings them into L1, 2 into L2 only.
constexpr int64_t kPrefetchFrom = 64;
template <int V, int Locality>
NEURONA_INLINE void prefetch_output(int m, const TileOutput& out) {
  for (int i = 0; i < m; ++i)
#pragma GCC unroll 4
    for (int line = 0; line < (V * kLanes + 15) / 16; ++line)
      __builtin_prefetch(out.rows[i] + line * 16, Locality == 3, Locality);
}

// A run whose rows of A overlap (a_step == 1: neighbouring pixels of one channel): row i reads
// a[i + k] in step k, so each of the M + S - 1 floats is broadcast once and meets all S rows of B,
// which stay in registers.
template <int M, int V, int S>
NEURONA_INLINE void sliding_run(Vec (&acc)[M][V], const float* a, const float* b, int64_t b_step) {
  Vec rows_of_b[S][V];
#pragma GCC unroll 8
  for (int k = 0; k < S; ++k) load_b<V, false>(rows_of_b[k], b + k * b_step, 0);
#pragma GCC unroll 32
  for (int x = 0; x < M + S - 1; ++x) {
    const Vec pixel = broadcast(a[x]);
#pragma GCC unroll 8
    for (int k = 0; k < S; ++k) {
      if (x - k < 0 || x - k >= M) continue;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiply_add(acc[x - k][v], pixel, rows_of_b[k][v]);
    }
  }
}

template <int M, int V, bool Masked>
void columns_tile(int m, int n, const TileRun* runs, int64_t run_count, int64_t a_step,
                  int64_t b_step, const TileOutput& out) {
  Vec acc[M][V];
  clear(acc);
  const int tail = n - (V - 1) * kLanes;
  if (run_count * runs[0].length >= kPrefetchFrom) prefetch_output<V, 3>(m, out);
  for (int64_t r = 0; r < run_count; ++r) {
    const float* a = runs[r].a;
    const float* b = runs[r].b;
    int64_t k = runs[r].length;
    if constexpr (2 * M > kTileRows && V == kTileVectors && !Masked)
      if (a_step == M && b_step == V * kLanes) {
        // Packed panels: constant steps, so that four of them share one pointer update; on the
        // AVX-512 ports every scalar instruction may displace a multiply-add.
        for (; k >= 4; k -= 4, a += 4 * M, b += 4 * V * kLanes) {
          prefetch_panel<V * kLanes>(b, k);
          prefetch_panel<M>(a, k);
#pragma GCC unroll 4
          for (int u = 0; u < 4; ++u) {
            step<M, V, false>(acc, a + u * M, b + u * V * kLanes, 0);
            asm volatile("" ::
                             : "memory");  // loads of a later step moved up would need registers
                                           // that are not there
          }
        }
      }
    // Of a full tile only: 5 + 14 + 1 registers of 32, or 5 + 6 + 1 of 16.
    if constexpr (M == kTileRows && V == 1 && !Masked && kLanes > 4) {
      if (a_step == 1 && k == 5) {
        sliding_run<M, V, 5>(acc, a, b, b_step);
        continue;
      }
      if (a_step == 1 && k == 3) {
        sliding_run<M, V, 3>(acc, a, b, b_step);
        continue;
      }
    }
    for (; k > 0; --k, a += a_step, b += b_step) step<M, V, Masked>(acc, a, b, tail);
  }
  finish<M, V>(acc, m, n, out);
}

template <int M, int V>
NEURONA_INLINE void row_step(Vec (&acc)[M][V], const float* const (&a)[M], int64_t k,
                             const float* b) {
  Vec bv[V];
  load_b<V, false>(bv, b, 0);
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    if constexpr (V == 1) {
      multiply_add_element(acc[i][0], a[i] + k, bv[0]);
    } else {
      const Vec ai = broadcast(a[i][k]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) multiply_add(acc[i][v], ai, bv[v]);
    }
  }
}

// Row pointers instead of an index that all share: with an index register a multiply-add and its
// operand in memory are two instructions again (10 % of LeNet's second convolution).
template <int M>
NEURONA_INLINE void advance_rows(const float* (&a)[M], int64_t steps) {
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    a[i] += steps;
    asm("" : "+r"(a[i]));
  }
}

template <int M, int V>
void rows_tile(int m, int n, const float* const* a_rows, const int64_t* run_offsets,
               int64_t run_count, int64_t run_length, const float* b, int64_t b_step,
               const TileOutput& out) {
  Vec acc[M][V];
  clear(acc);
  if (run_count * run_length >= kPrefetchFrom) prefetch_output<V, 3>(m, out);
  const float* a[M];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) a[i] = a_rows[i];
  for (int64_t r = 0; r < run_count; ++r) {
    // All rows share the index of two vectors' steps, which takes a run's offset as well; with one
    // vector the pointers themselves move (7x7 taps of 3 channels, 21 steps a run: 2 %).
    int64_t k = V > 1 ? run_offsets[r] : 0, left = run_length;
    if constexpr (V == 1) {
#pragma GCC unroll 16
      for (int i = 0; i < M; ++i) a[i] = a_rows[i] + run_offsets[r];
    }
    if (b_step == V * kLanes)  // a packed panel: constant steps, unrolled as in columns_tile
      for (; left >= 4; left -= 4, b += 4 * V * kLanes) {
        // With one vector each multiply-add takes a load, and there is none to spare for asking
        // (1760 x 16 x 1760: 4 to 6 %, LeNet's second convolution 7 %).
        if constexpr (V > 1) prefetch_panel<V * kLanes>(b, left);
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) {
          row_step<M, V>(acc, a, k + u, b + u * V * kLanes);
          asm volatile("" ::: "memory");
        }
        if constexpr (V == 1) {
          advance_rows(a, 4);
        } else {
          k += 4;
        }
      }
    for (; left > 0; --left, ++k, b += b_step) row_step<M, V>(acc, a, k, b);
  }
  finish<M, V>(acc, m, n, out);
}

}  // namespace
}  // namespace neurona::NEURONA_ISA
