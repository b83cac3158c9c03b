// The matrix-product tile: the inner routine under GEMM, linear layers and every convolution.
//
// Glossary: a tile is m <= MR rows times n <= NR columns of C; k runs over the summed dimension. B
// is read in rows of NR contiguous floats (a packed panel, zero-padded behind n, or rows of an
// activation).
#pragma once

#include <stdint.h>

namespace neurona {

// A stretch of the summed dimension for tile_columns: `length` steps, of which step k reads a[k *
// a_step + 0..m) and b[k * b_step + 0..n).
struct TileRun {
  const float* a;
  const float* b;
  int64_t length;
};

enum class TileActivation : int32_t { kNone = 0, kRelu = 1, kLeakyRelu = 2 };  // leaky slope 0.01

// Where a tile's result goes: row i to rows[i][0..n).
struct TileOutput {
  float* const* rows;
  const float* bias;  // n values added to each row, or null
  float alpha;        // the product is multiplied by alpha
  bool accumulate;    // added to what the rows hold; otherwise C is not read
  TileActivation activation;
};

// A strip of A for strip_tile: row i at a[i * stride + 0..depth). If `next` is not null, memory
// from there on and from next + next_stride on is brought into L2 meanwhile, one cache line each
// next_step floats: kStripStep brings `depth` floats of each, 2 kStripStep twice as many.
constexpr int64_t kStripStep = 8;
struct StripRows {
  const float* a;
  int64_t stride;
  const float* next;
  int64_t next_stride;
  int64_t next_step = kStripStep;
};

struct GemmKernels {
  int rows;          // MR of tile_columns
  int pointer_rows;  // MR of tile_rows
  int columns;       // NR, of a full panel; a last panel of at most NR / 2 columns is stored and
                     // computed half as wide
  int lanes;

  // C (m, n) from A stored step-major (packed panels, or an activation's channels at successive
  // pixels). b_padded promises that each row of B is readable up to a whole number of vectors;
  // otherwise nothing behind column n is read.
  void (*tile_columns)(int m, int n, const TileRun* runs, int64_t run_count, int64_t a_step,
                       int64_t b_step, bool b_padded, const TileOutput& out);
  // C (m, n) from A given by row pointers: row i reads a_rows[i][offset + 0..run_length) for each
  // run's offset; B continues through all runs with b_step floats per step.
  void (*tile_rows)(int m, int n, const float* const* a_rows, const int64_t* run_offsets,
                    int64_t run_count, int64_t run_length, const float* b, int64_t b_step,
                    const TileOutput& out);
  // C (m <= strip_rows, n <= strip_columns) from a strip of A, all strip_rows rows of it readable,
  // and a packed panel of B, n columns rounded up to whole vectors wide and followed by
  // strip_columns readable floats.
  int strip_rows, strip_columns;
  void (*strip_tile)(int m, int n, const StripRows& rows, const float* b, int64_t depth,
                     const TileOutput& out);
  // Packs `width` lines of a matrix into panel[k * panel_step + i] = line i, element k, for k <
  // depth; zeros for width <= i < panel_step. Line i, element k is at source[i * line_stride + k]
  // ...
  void (*pack_lines)(const float* source, int64_t line_stride, int64_t width, int64_t depth,
                     float* panel, int64_t panel_step);
  // ... or at source[k * line_stride + i]. `more` steps behind these will be packed soon and may be
  // asked for.
  void (*pack_transposed)(const float* source, int64_t line_stride, int64_t width, int64_t depth,
                          int64_t more, float* panel, int64_t panel_step);
  // target[j * target_stride + i] = source[i * source_stride + j] for i < rows, j < columns.
  void (*transpose)(const float* source, int64_t source_stride, int64_t rows, int64_t columns,
                    float* target, int64_t target_stride);
};

}  // namespace neurona
