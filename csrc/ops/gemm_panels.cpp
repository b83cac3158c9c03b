#include "ops/gemm_panels.h"

#include <algorithm>

#include "core/divide.h"

namespace neurona {
namespace {

// Along the lines a panel is read line by line; across them, a few steps of all panels at a time,
// since a step of the whole operand is contiguous while those of one panel lie far apart.
constexpr int64_t kStepsAcross = 32;

}  // namespace

int64_t Panels::count() const { return divide_up(lines, width); }

int64_t Panels::lines_up() const { return (count() - 1) * width + last_width; }

int64_t Panels::pieces() const { return across ? divide_up(depth, kStepsAcross) : count(); }

void Panels::pack_piece(const GemmKernels& kernel, int64_t piece, float* packed) const {
  const int64_t first_step = across ? piece * kStepsAcross : 0,
                steps = across ? std::min(kStepsAcross, depth - first_step) : depth;
  const int64_t first = across ? 0 : piece, last = across ? count() : piece + 1;
  for (int64_t panel = first; panel < last; ++panel) {
    const int64_t line = panel * width, valid = std::min(width, lines - line);
    const int64_t step = panel == count() - 1 ? last_width : width;
    float* target = packed + line * depth + first_step * step;
    if (across) {
      kernel.pack_transposed(matrix.data + first_step * matrix.stride + line, matrix.stride, valid,
                             steps, 0, target, step);
    } else {
      kernel.pack_lines(matrix.data + line * matrix.stride, matrix.stride, valid, steps, target,
                        step);
    }
  }
}

void Panels::pack(const GemmKernels& kernel, float* packed) const {
  for (int64_t piece = 0; piece < pieces(); ++piece) pack_piece(kernel, piece, packed);
}

int64_t panel_width(const GemmKernels& kernel, int64_t columns) {
  return columns > kernel.lanes ? kernel.columns : kernel.lanes;
}

Panels panels_of_a(const GemmKernels& kernel, const Matrix& a, int64_t first, int64_t lines,
                   int64_t k, int64_t depth) {
  const int64_t offset = a.transposed ? k * a.stride + first : first * a.stride + k;
  const Matrix part{a.data + offset, a.stride, a.transposed};
  return {part, a.transposed, lines, depth, kernel.rows, kernel.rows};
}

Panels panels_of_b(const GemmKernels& kernel, const Matrix& b, int64_t first, int64_t lines,
                   int64_t k, int64_t depth) {
  const int64_t offset = b.transposed ? first * b.stride + k : k * b.stride + first;
  const Matrix part{b.data + offset, b.stride, b.transposed};
  const int64_t last = lines - (divide_up(lines, kernel.columns) - 1) * kernel.columns;
  return {part, !b.transposed, lines, depth, kernel.columns, panel_width(kernel, last)};
}

}  // namespace neurona
