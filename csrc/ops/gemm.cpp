// C (M, N) = act(alpha * A * B + [C] + bias). Large products are left to gemm_strips.cpp. The loops
// around the tile for the others, after Goto and van de Geijn (2008), here with more columns than
// rows:
//
//   pack A into panels of MR rows, if that pays            shared by all threads
//   for each group of B's panels                           shared out among the threads
//     for each block of K (kc steps)                       the only place where a sum is cut
//       pack the group's part of B into panels of NR columns, which stay in L2
//       for each tile of MR rows                           its A panel stays in L1 ...
//         for each panel of the group                      ... while the B panels stream from L2
//           tile
//
// With more rows than columns A and B change places: B's panels are shared, and each thread packs
// the rows that it works on. C is overwritten by the first block of K (or added to, if asked) and
// added to by the others; bias and activation go with the last one. Where K is cut depends on K
// alone.
#include "ops/gemm.h"

#include <algorithm>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/gemm_panels.h"
#include "ops/gemm_strips.h"

namespace neurona {
namespace {

// Steps per block of K. A panel of 14 x 512 floats is 28 KiB of a 32 KiB L1; fewer steps cost more
// passes over C (a tile is read and written once per block): 4 % at n = 512 with 384 steps.
constexpr int64_t kMaxDepth = 512;
int64_t block_depth(int64_t k) { return divide_up(k, divide_up(k, kMaxDepth)); }

// From this many columns on, copying A into panels (about 0.6 cycles an element) costs less than 10
// % of the tiles that use it.
constexpr int64_t kPackFromColumns = 192;
constexpr int64_t kPackFromRows = 48;
// A transposed A is read in place with one step per row of memory; steps of half a page or more
// would touch a page each and share few sets of L1.
constexpr int64_t kPackFromStride = 512;
// The shared operand is packed for as many blocks of K together as fit this many floats (64 MiB),
// so that the threads meet once per product instead of once per block.
constexpr int64_t kGroupFloats = 16 << 20;
// Groups of panels or tiles per thread: enough to even out threads of unequal speed.
constexpr int64_t kGroupsPerThread = 4;
constexpr int kMaxRows = 16;

// A block of K for some of the tiles: where its operands are and how its tiles end. Packed panels
// start at row `a_row` and column `b_column`.
struct Block {
  GemmShape shape;  // k: the steps of this block
  Matrix a;
  const float* packed_a;  // panels of MR rows, or null: A is read in place
  int64_t a_row;
  const float* packed_b;  // panels of NR columns, or null: B is read in place, by a single tile row
  int64_t b_column;
  Matrix b;
  float* c;
  int64_t c_stride;
  GemmEpilogue epilogue;
};

// Tiles of rows [first_row, first_row + height) against the panels [first_panel, last_panel).
void tile_row(const GemmKernels& kernel, const Block& block, int64_t first_row, int64_t height,
              int64_t first_panel, int64_t last_panel) {
  const int64_t depth = block.shape.k;
  const float* a_rows[kMaxRows];
  float* c_rows[kMaxRows];
  const bool by_pointer = !block.packed_a && !block.a.transposed;
  if (by_pointer)
    for (int64_t i = 0; i < height; ++i)
      a_rows[i] = block.a.data + (first_row + i) * block.a.stride;
  const float* a_columns = block.packed_a ? block.packed_a + (first_row - block.a_row) * depth
                                          : block.a.data + first_row;
  const int64_t a_step = block.packed_a ? kernel.rows : block.a.stride;
  const int64_t no_offset = 0;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const int64_t column = panel * kernel.columns;
    const int width = static_cast<int>(std::min<int64_t>(kernel.columns, block.shape.n - column));
    const bool packed = block.packed_b != nullptr;
    const int64_t b_step = packed ? panel_width(kernel, width) : block.b.stride;
    const float* b =
        packed ? block.packed_b + (column - block.b_column) * depth : block.b.data + column;
    for (int64_t i = 0; i < height; ++i)
      c_rows[i] = block.c + (first_row + i) * block.c_stride + column;
    const float* bias = block.epilogue.bias ? block.epilogue.bias + column : nullptr;
    const TileOutput out{c_rows, bias, block.epilogue.alpha, block.epilogue.accumulate,
                         block.epilogue.activation};
    if (by_pointer) {
      kernel.tile_rows(static_cast<int>(height), width, a_rows, &no_offset, 1, depth, b, b_step,
                       out);
    } else {
      const TileRun run{a_columns, b, depth};
      kernel.tile_columns(static_cast<int>(height), width, &run, 1, a_step, b_step, packed, out);
    }
  }
}

// A range of row tiles and of panels.
struct Rectangle {
  int64_t first_tile, last_tile, first_panel, last_panel;
};

struct Product {
  const GemmKernels& kernel;
  GemmShape shape;
  Matrix a, b;
  float* c;
  int64_t c_stride;
  GemmEpilogue epilogue;
  const float* ready_b;  // packed before, or null
  int64_t blocks, depth;
  bool pack_a, pack_b, wide;  // pack_b: B is read as panels
  int64_t tile_height, tiles, panels;
  int64_t panels_in_l2, group;  // panels or tiles that one thread packs and works on at a time

  Product(const GemmShape& s, const Matrix& a_matrix, const Matrix& b_matrix, float* out,
          int64_t out_stride, const GemmEpilogue& end, const float* packed_b)
      : kernel(kernels().gemm),
        shape(s),
        a(a_matrix),
        b(b_matrix),
        c(out),
        c_stride(out_stride),
        epilogue(end),
        ready_b(packed_b) {
    depth = block_depth(s.k);
    blocks = divide_up(s.k, depth);
    // A single row of tiles reads B once.
    pack_b = ready_b || b.transposed || s.m > kernel.rows;
    pack_a = !pack_b || (s.m >= kPackFromRows && (s.n >= kPackFromColumns ||
                                                  (a.transposed && a.stride >= kPackFromStride)));
    tile_height = pack_a || a.transposed ? kernel.rows : kernel.pointer_rows;
    tiles = divide_up(s.m, tile_height);
    panels = divide_up(s.n, kernel.columns);
    wide = panels >= tiles;
    // Two thirds of L2, in floats per step; the rest is for A, C and what is prefetched.
    const int64_t l2 = cache_sizes().l2 * 2 / 3 / (depth * static_cast<int64_t>(sizeof(float)));
    panels_in_l2 = std::max<int64_t>(1, l2 / kernel.columns);
    const int64_t most = wide ? panels_in_l2 : std::max<int64_t>(1, l2 / 2 / tile_height);
    group = std::min(most, divide_up(wide ? panels : tiles, kGroupsPerThread * num_threads()));
    // With a single panel each tile takes all blocks of K in turn, so that A's rows are read from
    // end to end (1760 x 16 x 1760: 291 -> 277 us); that pays even where the panel outgrows L2 (512
    // x 16 x 100000: 6.9 -> 6.1 ms).
    if (!wide && panels == 1 && !pack_a && !a.transposed) group = 1;
  }

  int64_t groups() const { return divide_up(wide ? panels : tiles, group); }
  int64_t steps_of(int64_t index) const { return std::min(depth, shape.k - index * depth); }

  // What all threads use: A if wide, else B.
  bool pack_shared() const { return wide ? pack_a : pack_b && !ready_b; }
  Panels shared(int64_t index) const {
    return wide ? panels_of_a(kernel, a, 0, shape.m, index * depth, steps_of(index))
                : panels_of_block(index);
  }
  int64_t shared_size() const { return pack_shared() ? shared(0).size() : 0; }

  // What a thread packs for itself.
  bool pack_own() const { return wide ? pack_b && !ready_b : pack_a; }
  Panels own(const Rectangle& part, int64_t index) const {
    const int64_t k = index * depth, row = part.first_tile * tile_height,
                  column = part.first_panel * kernel.columns;
    if (wide)
      return panels_of_b(kernel, b, column,
                         std::min(part.last_panel * kernel.columns, shape.n) - column, k,
                         steps_of(index));
    return panels_of_a(kernel, a, row, std::min(part.last_tile * tile_height, shape.m) - row, k,
                       steps_of(index));
  }
  int64_t own_size() const {
    return pack_own() ? group * (wide ? kernel.columns : kernel.rows) * depth : 0;
  }

  Rectangle part(int64_t index) const {
    const int64_t begin = index * group, end = std::min(begin + group, wide ? panels : tiles);
    return wide ? Rectangle{0, tiles, begin, end} : Rectangle{begin, end, 0, panels};
  }

  // All of B's panels for one block of K.
  Panels panels_of_block(int64_t index) const {
    return panels_of_b(kernel, b, 0, shape.n, index * depth, steps_of(index));
  }

  Block block(int64_t index, const Rectangle& part, const float* shared_panels,
              const float* own_panels) const {
    const int64_t k = index * depth;
    const bool last = index == blocks - 1;
    const float* of_a = wide ? shared_panels : own_panels;
    const float* of_b = wide ? own_panels : shared_panels;
    if (ready_b) of_b = ready_b + k * panels_of_block(index).lines_up();
    return {{shape.m, shape.n, steps_of(index)},
            {a.data + (a.transposed ? k * a.stride : k), a.stride, a.transposed},
            pack_a ? of_a : nullptr,
            wide ? 0 : part.first_tile * tile_height,
            pack_b ? of_b : nullptr,
            wide && !ready_b ? part.first_panel * kernel.columns : 0,
            {b.data + (b.transposed ? k : k * b.stride), b.stride, b.transposed},
            c,
            c_stride,
            {epilogue.alpha, index > 0 || epilogue.accumulate, last ? epilogue.bias : nullptr,
             last ? epilogue.activation : TileActivation::kNone}};
  }

  void run_tiles(const Block& block, const Rectangle& part) const {
    for (int64_t panel = part.first_panel; panel < part.last_panel; panel += panels_in_l2)
      for (int64_t tile = part.first_tile; tile < part.last_tile; ++tile)
        tile_row(kernel, block, tile * tile_height,
                 std::min(tile_height, shape.m - tile * tile_height), panel,
                 std::min(part.last_panel, panel + panels_in_l2));
  }
};

// Packs the shared operand of the blocks [first, last).
void pack_shared(const Product& product, int64_t first, int64_t last, float* packed) {
  const int64_t size = product.shared_size(), blocks = last - first;
  const int64_t pieces = product.shared(first).pieces();  // the last block may have fewer
  parallel_for(blocks * pieces, grain_for(size / pieces / 2), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t block = i / pieces, piece = i % pieces;
      const Panels panels = product.shared(first + block);
      if (piece < panels.pieces()) panels.pack_piece(product.kernel, piece, packed + block * size);
    }
  });
}

void run_blocks(const Product& product, int64_t first, int64_t last, float* shared) {
  if (product.pack_shared()) pack_shared(product, first, last, shared);
  const GemmShape& shape = product.shape;
  const int64_t flops = 2 * shape.m * shape.n * std::min(shape.k, (last - first) * product.depth);
  parallel_for(
      product.groups(), grain_for(flops / product.groups() / 16), [&](int64_t begin, int64_t end) {
        const Scratch<float> own(product.own_size());
        for (int64_t group = begin; group < end; ++group) {
          const Rectangle part = product.part(group);
          for (int64_t index = first; index < last; ++index) {
            if (product.pack_own()) product.own(part, index).pack(product.kernel, own.data());
            product.run_tiles(
                product.block(index, part, shared + (index - first) * product.shared_size(),
                              own.data()),
                part);
          }
        }
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

// column_sums of rows that follow one another: of `together` rows side by side, then of those sums
// and of the rows that are left.
void folded_column_sums(const float* x, int64_t rows, int64_t columns, int64_t together,
                        float* sums) {
  const int64_t wide = together * columns, whole = rows / together * together;
  const Scratch<float> parts(wide);
  column_sums(x, rows / together, wide, wide, parts.data());
  for (int64_t j = 0; j < columns; ++j) {
    float sum = 0.0f;
    for (int64_t i = 0; i < together; ++i) sum += parts.data()[i * columns + j];
    for (int64_t i = whole; i < rows; ++i) sum += x[i * columns + j];
    sums[j] = sum;
  }
}

}  // namespace

void gemm(const GemmShape& shape, const Matrix& a, const Matrix& b, float* c, int64_t c_stride,
          const GemmEpilogue& epilogue, const float* packed_b) {
  if (shape.m == 0 || shape.n == 0) return;
  if (shape.k == 0) return epilogue_only(kernels().gemm, shape, c, c_stride, epilogue);

  const int64_t depth = block_depth(shape.k);
  if (gemm_prefers_strips(shape)) return gemm_strips(shape, a, b, c, c_stride, epilogue, depth);

  const Product product(shape, a, b, c, c_stride, epilogue, packed_b);
  const int64_t size = product.shared_size();
  const int64_t together =
      size ? std::clamp<int64_t>(kGroupFloats / size, 1, product.blocks) : product.blocks;
  const Scratch<float> shared(together * size);
  for (int64_t first = 0; first < product.blocks; first += together)
    run_blocks(product, first, std::min(product.blocks, first + together), shared.data());
}

int64_t gemm_packed_b_size(const GemmShape& shape) {
  return panels_of_b(kernels().gemm, {}, 0, shape.n, 0, shape.k).size();
}

void gemm_pack_b(const GemmShape& shape, const Matrix& b, float* packed) {
  if (shape.n == 0 || shape.k == 0) return;
  const Product product(shape, {}, b, nullptr, 0, {}, nullptr);
  for (int64_t block = 0; block < product.blocks; ++block) {
    const Panels panels = product.panels_of_block(block);
    panels.pack(product.kernel, packed + block * product.depth * panels.lines_up());
  }
}

void column_sums(const float* x, int64_t rows, int64_t columns, int64_t stride, float* sums) {
  // A product with a row of ones. 256 rows per chunk keep the rounding error of a sum near
  // sqrt(chunks) * eps.
  constexpr int64_t kChunk = 256;
  const GemmKernels& kernel = kernels().gemm;
  const float one = 1.0f;
  // Each addition waits for the one before: of few columns as many rows as fill a tile count as one
  // (gradients of a layer of 6 maps of 28x28, batch 64, one thread: 185 -> 153 us).
  const int64_t together = columns > 0 && stride == columns ? kernel.columns / columns : 1;
  if (together > 1 && rows >= kChunk) return folded_column_sums(x, rows, columns, together, sums);
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
