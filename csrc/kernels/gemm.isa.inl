// The tile variants of one ISA and the packing that feeds them.
#include "kernels/gemm_strip.inl"
#include "kernels/gemm_tile.inl"
#include "kernels/partial.inl"
#include "kernels/transpose.inl"

namespace neurona::NEURONA_ISA {
namespace {

// One variant per height, since a tile may read only m floats of each step of A.
template <int M, int V, bool Masked>
void columns_of_height(int m, int n, const TileRun* runs, int64_t run_count, int64_t a_step,
                       int64_t b_step, const TileOutput& out) {
  if constexpr (M > 1) {
    if (m < M)
      return columns_of_height<M - 1, V, Masked>(m, n, runs, run_count, a_step, b_step, out);
  }
  columns_tile<M, V, Masked>(m, n, runs, run_count, a_step, b_step, out);
}

void tile_columns(int m, int n, const TileRun* runs, int64_t run_count, int64_t a_step,
                  int64_t b_step, bool b_padded, const TileOutput& out) {
  const bool masked = !b_padded && n % kLanes != 0;
  if (n > kLanes) {
    if (masked) {
      columns_of_height<kTileRows, 2, true>(m, n, runs, run_count, a_step, b_step, out);
    } else {
      columns_of_height<kTileRows, 2, false>(m, n, runs, run_count, a_step, b_step, out);
    }
  } else if (masked) {
    columns_of_height<kTileRows, 1, true>(m, n, runs, run_count, a_step, b_step, out);
  } else {
    columns_of_height<kTileRows, 1, false>(m, n, runs, run_count, a_step, b_step, out);
  }
}

template <int V>
void rows_by_height(int m, int n, const float* const* a_rows, const int64_t* run_offsets,
                    int64_t run_count, int64_t run_length, const float* b, int64_t b_step,
                    const TileOutput& out) {
  if (m == kPointerRows)
    return rows_tile<kPointerRows, V>(m, n, a_rows, run_offsets, run_count, run_length, b, b_step,
                                      out);
  // Rows of a variant beyond m repeat the first row; their results are dropped.
  const float* rows[kPointerRows];
  for (int i = 0; i < kPointerRows; ++i) rows[i] = a_rows[i < m ? i : 0];
  if (m <= 1)
    return rows_tile<1, V>(m, n, rows, run_offsets, run_count, run_length, b, b_step, out);
  if (m <= 4)
    return rows_tile<4, V>(m, n, rows, run_offsets, run_count, run_length, b, b_step, out);
#if defined(NEURONA_ISA_avx512)
  if (m <= 8)
    return rows_tile<8, V>(m, n, rows, run_offsets, run_count, run_length, b, b_step, out);
  if (m <= 10)
    return rows_tile<10, V>(m, n, rows, run_offsets, run_count, run_length, b, b_step, out);
#endif
  return rows_tile<kPointerRows, V>(m, n, rows, run_offsets, run_count, run_length, b, b_step, out);
}

void tile_rows(int m, int n, const float* const* a_rows, const int64_t* run_offsets,
               int64_t run_count, int64_t run_length, const float* b, int64_t b_step,
               const TileOutput& out) {
  if (n > kLanes) {
    rows_by_height<2>(m, n, a_rows, run_offsets, run_count, run_length, b, b_step, out);
  } else {
    rows_by_height<1>(m, n, a_rows, run_offsets, run_count, run_length, b, b_step, out);
  }
}

// Moves a pointer along. Left free, GCC keeps the sixteen offsets of a block in registers that are
// not there, and the block takes three times as long.
template <typename T>
NEURONA_INLINE void advance(T*& p, int64_t stride) {
  p += stride;
  asm("" : "+r"(p));
}

// Each line is a stream of its own, and there are as many as the hardware can follow: they are
// asked for two cache lines ahead (6 to 11 % of a product of 100 rows with a transposed B).
constexpr int64_t kLineAhead = 32;

// kLanes steps of `Lines` lines.
template <int Lines>
NEURONA_INLINE void pack_whole_block(const float* source, int64_t line_stride, float* panel,
                                     int64_t panel_step) {
  Vec rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    rows[i] = i < Lines ? load(source) : Vec{};
    if (i < Lines) __builtin_prefetch(source + kLineAhead);
    if (i < Lines - 1) advance(source, line_stride);
  }
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (Lines == kLanes) {
      store(panel, rows[i]);
    } else {
      store_partial(panel, rows[i], Lines);
    }
    if (i < kLanes - 1) advance(panel, panel_step);
  }
}

// `steps` steps of `lines` lines, kLanes of each at most; lines from `valid` on are zero.
void pack_partial_block(const float* source, int64_t line_stride, int64_t valid, int64_t lines,
                        int64_t steps, float* panel, int64_t panel_step) {
  Vec rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    rows[i] = i < valid ? load_first(source, static_cast<int>(steps)) : Vec{};
    if (i + 1 < valid) advance(source, line_stride);
  }
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i >= steps) break;
    store_first(panel, rows[i], static_cast<int>(lines));
    if (i + 1 < steps) advance(panel, panel_step);
  }
}

// A line's steps are read a whole vector, with AVX-512 a whole cache line, at a time: lines that
// lie a power of two apart share a set of L1, which cannot hold them until they are visited again.
// For the same reason kLanes lines are packed over the whole depth before the next ones (10 % of a
// product of 100 rows with a transposed B).
void pack_lines(const float* source, int64_t line_stride, int64_t width, int64_t depth,
                float* panel, int64_t panel_step) {
  constexpr int kLastLines = kTileRows % kLanes;
  for (int64_t first = 0; first < panel_step; first += kLanes) {
    for (int64_t k = 0; k < depth; k += kLanes) {
      const int64_t steps = depth - k < kLanes ? depth - k : kLanes;
      const float* from = source + first * line_stride + k;
      float* to = panel + k * panel_step + first;
      const int64_t lines = panel_step - first < kLanes ? panel_step - first : kLanes;
      const bool whole = steps == kLanes && width - first >= lines;
      if (whole && lines == kLanes) {
        pack_whole_block<kLanes>(from, line_stride, to, panel_step);
      } else if (whole && lines == kLastLines) {
        pack_whole_block<kLastLines>(from, line_stride, to, panel_step);
      } else {
        pack_partial_block(from, line_stride, width - first, lines, steps, to, panel_step);
      }
    }
  }
}

// Each step is a row of memory of its own, which the hardware does not foresee: it is asked for
// this many steps ahead (12 % on a product of 100 rows; 17 % on the weights' gradient of 128 -> 128
// channels, stride 2, whose panels of 13 channels are less than a vector).
constexpr int64_t kPackAhead = 8;

void pack_transposed(const float* source, int64_t line_stride, int64_t width, int64_t depth,
                     int64_t more, float* panel, int64_t panel_step) {
  for (int64_t k = 0; k < depth; ++k, source += line_stride, panel += panel_step) {
    const float* ahead = k + kPackAhead < depth + more ? source + kPackAhead * line_stride : source;
    int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes) {
      __builtin_prefetch(ahead + j);
      store(panel + j, load(source + j));
    }
    if (j < width) {
      __builtin_prefetch(ahead + j);
      store_partial(panel + j, load_partial(source + j, static_cast<int>(width - j)),
                    static_cast<int>(width - j));
      j = width;
    }
    for (; j < panel_step; ++j) panel[j] = 0;
  }
}

// A square of kLanes, or the part of it that exists.
void transpose_square(const float* source, int64_t source_stride, int rows, int columns,
                      float* target, int64_t target_stride) {
  Vec square[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    square[i] = i < rows ? load_first(source, columns) : Vec{};
    if (i + 1 < rows) advance(source, source_stride);
  }
  transpose(square);
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) {
    if (j >= columns) break;
    store_first(target, square[j], rows);
    if (j + 1 < columns) advance(target, target_stride);
  }
}

void transpose_matrix(const float* source, int64_t source_stride, int64_t rows, int64_t columns,
                      float* target, int64_t target_stride) {
  for (int64_t i = 0; i < rows; i += kLanes)
    for (int64_t j = 0; j < columns; j += kLanes)
      transpose_square(source + i * source_stride + j, source_stride,
                       static_cast<int>(rows - i < kLanes ? rows - i : kLanes),
                       static_cast<int>(columns - j < kLanes ? columns - j : kLanes),
                       target + j * target_stride + i, target_stride);
}

}  // namespace

GemmKernels gemm_kernels() {
  return {kTileRows,       kPointerRows,    kTileVectors * kLanes,  kLanes,     tile_columns,
          tile_rows,       kStripRows,      kStripVectors * kLanes, strip_tile, pack_lines,
          pack_transposed, transpose_matrix};
}

}  // namespace neurona::NEURONA_ISA
