// C (M, N) = act(alpha * A * B + [C] + bias). The loops around the tile, after Goto and van de
// Geijn (2008):
//
//   pack B into panels of NR columns, and A into panels of MR rows if that pays
//   for each block of K (kc steps)            the only place where a sum is cut; depends on K alone
//     for each block of N whose panels fit in half of L2
//       for each tile of MR rows              its A panel stays in L1 ...
//         for each panel of the block         ... while the B panels stream from L2
//           tile
//
// C is overwritten by the first block of K (or added to, if asked) and added to by the others; bias
// and activation go with the last one. Threads share the rows or the columns, never K.
#include "ops/gemm.h"

#include <algorithm>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Steps per block of K. A panel of 14 x 384 floats is 21 KiB, which leaves a third of a 32 KiB L1
// to the B panel that streams through; fewer steps cost more passes over C (a tile is read and
// written once per block).
constexpr int64_t kMaxDepth = 384;
// From this many columns on, copying A into panels (about 0.6 cycles an element) costs less than 10
// % of the tiles that use it.
constexpr int64_t kPackFromColumns = 192;
constexpr int64_t kPackFromRows = 48;
// A transposed A is read in place with one step per row of memory; steps of half a page or more
// would touch a page each and share few sets of L1.
constexpr int64_t kPackFromStride = 512;
// Blocks of K are packed together up to this many floats (64 MiB), so that the threads meet twice
// per product instead of twice per block.
constexpr int64_t kGroupFloats = 16 << 20;
constexpr int kMaxRows = 16;

// One block of K: where its operands are and how its tiles end.
struct Block {
  GemmShape shape;  // k: the steps of this block
  Matrix a;
  const float* packed_a;  // panels of MR rows, or null: A is read in place
  const float* packed_b;  // panels of NR columns
  float* c;
  int64_t c_stride;
  GemmEpilogue epilogue;
};

int64_t panel_width(const GemmKernels& kernel, int64_t columns) {
  return columns > kernel.lanes ? kernel.columns : kernel.lanes;
}

// One operand of a block as panels of `width` lines: A's rows or B's columns. The last panel may be
// narrower.
struct Panels {
  Matrix matrix;  // lines are rows of the matrix, or its columns when `across`
  bool across;
  int64_t lines, depth;
  int64_t width, last_width;  // floats per step: of a full panel, of the last one
  float* packed;

  int64_t count() const { return divide_up(lines, width); }
  // Along the lines a panel is read line by line; across them, eight steps of all panels at a time,
  // since a step of the whole operand is contiguous while those of one panel lie far apart.
  static constexpr int64_t kSteps = 8;
  int64_t pieces() const { return across ? divide_up(depth, kSteps) : count(); }

  void pack_piece(const GemmKernels& kernel, int64_t piece) const {
    const int64_t first_step = across ? piece * kSteps : 0,
                  steps = across ? std::min(kSteps, depth - first_step) : depth;
    for (int64_t panel = across ? 0 : piece; panel < (across ? count() : piece + 1); ++panel) {
      const int64_t line = panel * width, valid = std::min(width, lines - line);
      const int64_t step = panel == count() - 1 ? last_width : width;
      float* target = packed + line * depth + first_step * step;
      if (across) {
        kernel.pack_transposed(matrix.data + first_step * matrix.stride + line, matrix.stride,
                               valid, steps, target, step);
      } else {
        kernel.pack_lines(matrix.data + line * matrix.stride, matrix.stride, valid, steps, target,
                          step);
      }
    }
  }
};

// Tiles of rows [first_row, first_row + height) against the panels [first_panel, last_panel).
void tile_row(const GemmKernels& kernel, const Block& block, int64_t first_row, int64_t height,
              int64_t first_panel, int64_t last_panel) {
  const float* a_rows[kMaxRows];
  float* c_rows[kMaxRows];
  const bool by_pointer = !block.packed_a && !block.a.transposed;
  if (by_pointer)
    for (int64_t i = 0; i < height; ++i)
      a_rows[i] = block.a.data + (first_row + i) * block.a.stride;
  const float* a_columns =
      block.packed_a ? block.packed_a + first_row * block.shape.k : block.a.data + first_row;
  const int64_t a_step = block.packed_a ? kernel.rows : block.a.stride;
  const int64_t no_offset = 0;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t column = panel * kernel.columns;
    const int width = static_cast<int>(std::min<int64_t>(kernel.columns, block.shape.n - column));
    const int64_t b_step = panel_width(kernel, width);
    const float* b = block.packed_b + column * block.shape.k;
    for (int64_t i = 0; i < height; ++i)
      c_rows[i] = block.c + (first_row + i) * block.c_stride + column;
    const float* bias = block.epilogue.bias ? block.epilogue.bias + column : nullptr;
    const TileOutput out{c_rows, bias, block.epilogue.alpha, block.epilogue.accumulate,
                         block.epilogue.activation};
    if (by_pointer) {
      kernel.tile_rows(static_cast<int>(height), width, a_rows, &no_offset, 1, block.shape.k, b,
                       b_step, out);
    } else {
      const TileRun run{a_columns, b, block.shape.k};
      kernel.tile_columns(static_cast<int>(height), width, &run, 1, a_step, b_step, true, out);
    }
  }
}

// The tiles of a block in a rectangle of row tiles and panels.
void tile_rectangle(const GemmKernels& kernel, const Block& block, int64_t tile_height,
                    int64_t first_tile, int64_t last_tile, int64_t first_panel,
                    int64_t last_panel) {
  const int64_t panel_bytes = kernel.columns * block.shape.k * static_cast<int64_t>(sizeof(float));
  const int64_t panels_in_l2 = std::max<int64_t>(1, cache_sizes().l2 / 2 / panel_bytes);
  for (int64_t panel = first_panel; panel < last_panel; panel += panels_in_l2)
    for (int64_t tile = first_tile; tile < last_tile; ++tile)
      tile_row(kernel, block, tile * tile_height,
               std::min(tile_height, block.shape.m - tile * tile_height), panel,
               std::min(last_panel, panel + panels_in_l2));
}

// A product and its packed blocks of K: `group` of them at a time.
struct Product {
  const GemmKernels& kernel;
  GemmShape shape;
  Matrix a, b;
  float* c;
  int64_t c_stride;
  GemmEpilogue epilogue;
  int64_t blocks, depth, group;
  bool pack_a;
  int64_t panels, row_panels;

  Product(const GemmShape& s, const Matrix& a_matrix, const Matrix& b_matrix, float* out,
          int64_t out_stride, const GemmEpilogue& end)
      : kernel(kernels().gemm),
        shape(s),
        a(a_matrix),
        b(b_matrix),
        c(out),
        c_stride(out_stride),
        epilogue(end) {
    blocks = divide_up(s.k, kMaxDepth);
    depth = divide_up(s.k, blocks);
    group = std::clamp<int64_t>(kGroupFloats / ((s.m + s.n) * depth), 1, blocks);
    pack_a = s.m >= kPackFromRows &&
             (s.n >= kPackFromColumns || (a.transposed && a.stride >= kPackFromStride));
    panels = divide_up(s.n, kernel.columns);
    row_panels = divide_up(s.m, kernel.rows);
  }

  int64_t packed_b_size() const { return panels * kernel.columns * depth; }
  int64_t packed_a_size() const { return pack_a ? row_panels * kernel.rows * depth : 0; }

  // Block `index` of all, packed at the start of `packed`: first B, then A.
  Block block(int64_t index, const float* packed) const {
    const int64_t k = index * depth;
    const bool last = index == blocks - 1;
    return {{shape.m, shape.n, std::min(depth, shape.k - k)},
            {a.data + (a.transposed ? k * a.stride : k), a.stride, a.transposed},
            pack_a ? packed + packed_b_size() : nullptr,
            packed,
            c,
            c_stride,
            {epilogue.alpha, index > 0 || epilogue.accumulate, last ? epilogue.bias : nullptr,
             last ? epilogue.activation : TileActivation::kNone}};
  }

  // Packs piece `piece` of block `index`; pieces of B come before those of A.
  int64_t pieces(int64_t index) const {
    return panels_of_b(index, nullptr).pieces() +
           (pack_a ? panels_of_a(index, nullptr).pieces() : 0);
  }
  void pack_piece(int64_t index, int64_t piece, float* packed) const {
    const Panels of_b = panels_of_b(index, packed);
    if (piece < of_b.pieces()) return of_b.pack_piece(kernel, piece);
    panels_of_a(index, packed + packed_b_size()).pack_piece(kernel, piece - of_b.pieces());
  }

 private:
  Panels panels_of_b(int64_t index, float* packed) const {
    const int64_t k = index * depth;
    const Matrix part{b.data + (b.transposed ? k : k * b.stride), b.stride, b.transposed};
    return {part,           !b.transposed,
            shape.n,        std::min(depth, shape.k - k),
            kernel.columns, panel_width(kernel, shape.n - (panels - 1) * kernel.columns),
            packed};
  }
  Panels panels_of_a(int64_t index, float* packed) const {
    const int64_t k = index * depth;
    const Matrix part{a.data + (a.transposed ? k * a.stride : k), a.stride, a.transposed};
    return {part,        a.transposed, shape.m, std::min(depth, shape.k - k),
            kernel.rows, kernel.rows,  packed};
  }
};

// Packs the blocks [first, last), then runs their tiles, cut among the threads along the longer
// side.
void run_group(const Product& product, int64_t first, int64_t last, float* packed) {
  const GemmShape& shape = product.shape;
  const int64_t block_size = product.packed_b_size() + product.packed_a_size();
  const int64_t pieces = product.pieces(first);  // the last block may have fewer
  const int64_t packed_floats = (shape.n + (product.pack_a ? shape.m : 0)) * product.depth;
  parallel_for((last - first) * pieces, grain_for(packed_floats / pieces / 2),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t index = first + i / pieces, piece = i % pieces;
                   if (piece < product.pieces(index))
                     product.pack_piece(index, piece, packed + (index - first) * block_size);
                 }
               });
  const int64_t tile_height =
      product.pack_a || product.a.transposed ? product.kernel.rows : product.kernel.pointer_rows;
  const int64_t row_tiles = divide_up(shape.m, tile_height);
  const bool by_rows = row_tiles >= product.panels;
  const int64_t items = by_rows ? row_tiles : product.panels;
  const int64_t flops = 2 * shape.m * shape.n * std::min(shape.k, (last - first) * product.depth);
  parallel_for(items, grain_for(flops / items / 16), [&](int64_t begin, int64_t end) {
    for (int64_t index = first; index < last; ++index)
      tile_rectangle(product.kernel, product.block(index, packed + (index - first) * block_size),
                     tile_height, by_rows ? begin : 0, by_rows ? end : row_tiles,
                     by_rows ? 0 : begin, by_rows ? product.panels : end);
  });
}

// K == 0: the product is empty, the epilogue is not.
void epilogue_only(const GemmKernels& kernel, const GemmShape& shape, float* c, int64_t c_stride,
                   const GemmEpilogue& epilogue) {
  const int64_t no_offset = 0;
  for (int64_t i = 0; i < shape.m; ++i)
    for (int64_t j = 0; j < shape.n; j += kernel.columns) {
      float* row = c + i * c_stride + j;
      const TileOutput out{&row, epilogue.bias ? epilogue.bias + j : nullptr, epilogue.alpha,
                           epilogue.accumulate, epilogue.activation};
      const float* unused = row;
      kernel.tile_rows(1, static_cast<int>(std::min<int64_t>(kernel.columns, shape.n - j)), &unused,
                       &no_offset, 0, 0, unused, 0, out);
    }
}

}  // namespace

void gemm(const GemmShape& shape, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
          const GemmEpilogue& epilogue) {
  const GemmKernels& kernel = kernels().gemm;
  if (shape.m == 0 || shape.n == 0) return;
  if (shape.k == 0) return epilogue_only(kernel, shape, c, c_stride, epilogue);

  const Product product(shape, a, b, c, c_stride, epilogue);
  const Scratch<float> packed(product.group * (product.packed_b_size() + product.packed_a_size()));
  for (int64_t first = 0; first < product.blocks; first += product.group)
    run_group(product, first, std::min(product.blocks, first + product.group), packed.data());
}

void column_sums(const float* x, int64_t rows, int64_t columns, int64_t stride, float* sums) {
  // A product with a row of ones. 256 rows per chunk keep the rounding error of a sum near
  // sqrt(chunks) * eps.
  constexpr int64_t kChunk = 256;
  const GemmKernels& kernel = kernels().gemm;
  const float one = 1.0f;
  const int64_t chunks = divide_up(rows, kChunk);
  if (chunks == 0) {
    std::fill_n(sums, columns, 0.0f);
    return;
  }
  const Scratch<float> partial(chunks > 1 ? chunks * columns : 1);
  parallel_for(chunks, grain_for(kChunk * columns), [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      for (int64_t column = 0; column < columns; column += kernel.columns) {
        const TileRun run{&one, x + chunk * kChunk * stride + column,
                          std::min(kChunk, rows - chunk * kChunk)};
        float* row = (chunks > 1 ? partial.data() + chunk * columns : sums) + column;
        const TileOutput out{&row, nullptr, 1.0f, false, TileActivation::kNone};
        kernel.tile_columns(1,
                            static_cast<int>(std::min<int64_t>(kernel.columns, columns - column)),
                            &run, 1, 0, stride, false, out);
      }
  });
  if (chunks > 1) column_sums(partial.data(), chunks, columns, columns, sums);
}

}  // namespace neurona
