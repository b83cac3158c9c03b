// The tile variants of one ISA and the packing that feeds them.
#include "kernels/gemm_tile.inl"

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

typedef float Quad __attribute__((vector_size(16)));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));

// Four lines of four elements each, transposed in registers: 8 shuffles for 16 elements.
NEURONA_INLINE void transpose_4x4(const float* source, int64_t line_stride, float* panel,
                                  int64_t panel_step) {
  const Quad l0 = *reinterpret_cast<const UnalignedQuad*>(source);
  const Quad l1 = *reinterpret_cast<const UnalignedQuad*>(source + line_stride);
  const Quad l2 = *reinterpret_cast<const UnalignedQuad*>(source + 2 * line_stride);
  const Quad l3 = *reinterpret_cast<const UnalignedQuad*>(source + 3 * line_stride);
  const Quad low01 = __builtin_shufflevector(l0, l1, 0, 4, 1, 5),
             high01 = __builtin_shufflevector(l0, l1, 2, 6, 3, 7);
  const Quad low23 = __builtin_shufflevector(l2, l3, 0, 4, 1, 5),
             high23 = __builtin_shufflevector(l2, l3, 2, 6, 3, 7);
  *reinterpret_cast<UnalignedQuad*>(panel) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  *reinterpret_cast<UnalignedQuad*>(panel + panel_step) =
      __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  *reinterpret_cast<UnalignedQuad*>(panel + 2 * panel_step) =
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  *reinterpret_cast<UnalignedQuad*>(panel + 3 * panel_step) =
      __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

// Sixteen steps, a cache line of each line, before the next four lines: lines that lie a power of
// two apart share a set of L1, and would lose their cache lines if all of them were visited every
// four steps.
constexpr int64_t kPackSteps = 16;

void pack_lines(const float* source, int64_t line_stride, int64_t width, int64_t depth,
                float* panel, int64_t panel_step) {
  for (int64_t first = 0; first < depth; first += kPackSteps) {
    const int64_t last = first + kPackSteps < depth ? first + kPackSteps : depth;
    int64_t i = 0;
    for (; i + 4 <= width; i += 4) {
      int64_t k = first;
      for (; k + 4 <= last; k += 4)
        transpose_4x4(source + i * line_stride + k, line_stride, panel + k * panel_step + i,
                      panel_step);
      for (; k < last; ++k)
        for (int64_t j = i; j < i + 4; ++j) panel[k * panel_step + j] = source[j * line_stride + k];
    }
    for (int64_t k = first; k < last; ++k) {
      for (int64_t j = i; j < width; ++j) panel[k * panel_step + j] = source[j * line_stride + k];
      for (int64_t j = width; j < panel_step; ++j) panel[k * panel_step + j] = 0;
    }
  }
}

void pack_transposed(const float* source, int64_t line_stride, int64_t width, int64_t depth,
                     float* panel, int64_t panel_step) {
  for (int64_t k = 0; k < depth; ++k, source += line_stride, panel += panel_step) {
    int64_t j = 0;
    for (; j + kLanes <= width; j += kLanes) store(panel + j, load(source + j));
    if (j < width) {
      store_partial(panel + j, load_partial(source + j, static_cast<int>(width - j)),
                    static_cast<int>(width - j));
      j = width;
    }
    for (; j < panel_step; ++j) panel[j] = 0;
  }
}

}  // namespace

GemmKernels gemm_kernels() {
  return {kTileRows, kPointerRows, kTileVectors * kLanes, kLanes, tile_columns,
          tile_rows, pack_lines,   pack_transposed};
}

}  // namespace neurona::NEURONA_ISA
