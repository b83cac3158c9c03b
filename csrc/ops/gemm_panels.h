// Operands of a product rearranged for the tile: a panel holds a few lines of A (rows) or B
// (columns) with the elements of one step of K side by side, and panels follow one another.
#pragma once

#include <cstdint>

#include "kernels/gemm.h"
#include "ops/gemm.h"

namespace neurona {

// A stretch of K of one operand, or of some of its lines, as panels of `width` lines.
struct Panels {
  Matrix matrix;  // its first line and step
  bool across;    // lines are the columns of what lies in memory
  int64_t lines, depth;
  int64_t width, last_width;  // floats per step: of a full panel, of the last one

  int64_t count() const;
  int64_t size() const { return lines_up() * depth; }
  int64_t lines_up() const;  // lines with the padding of the last panel

  // Packing falls into `pieces()` independent pieces. Line i starts at packed[i / width * width *
  // depth + i % width].
  int64_t pieces() const;
  void pack_piece(const GemmKernels& kernel, int64_t piece, float* packed) const;
  void pack(const GemmKernels& kernel, float* packed) const;
};

// Lines [first, first + lines) of steps [k, k + depth) of A or B. A's lines are its rows, panels of
// kernel.rows; B's are its columns, panels of kernel.columns, of which a last one of at most half
// as many is half as wide.
Panels panels_of_a(const GemmKernels& kernel, const Matrix& a, int64_t first, int64_t lines,
                   int64_t k, int64_t depth);
Panels panels_of_b(const GemmKernels& kernel, const Matrix& b, int64_t first, int64_t lines,
                   int64_t k, int64_t depth);

// Floats per step of a panel of B with `columns` columns.
int64_t panel_width(const GemmKernels& kernel, int64_t columns);

}  // namespace neurona
