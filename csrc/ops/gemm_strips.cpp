// The loops of a large product. C is cut into a grid of chunks, and each chunk is one thread's:
//
//   for each chunk of C                                  shared out among the threads
//     for each block of K (depth steps)
//       pack the chunk's columns of B into panels        they stay in L2
//       for each piece of the chunk's rows               idle threads help with these
//         for each strip of A's rows                     copied, if needed; it stays in L1 ...
//           for each panel                               ... while the panels stream from L2
//             tile
//
// No data are shared and the threads meet once. What several chunks need is packed by each of them:
// B's columns once per chunk of rows, A's strips once per chunk of columns. Both are copies from L3
// into buffers that stay in a core's own caches, which is cheaper than packing once for all and
// passing the result through L3 (n = 512: 8 % of the product instead of 14 %). A transposed A is
// rearranged strip by strip too, but for all threads beforehand where several chunks of columns
// need it.
#include "ops/gemm_strips.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "core/work_board.h"
#include "kernels/select.h"

namespace neurona {
namespace {

constexpr int kMaxPanels = 64;
// Panels of a quarter of that or more lie on a page of 2 MiB: on pages of 4 KiB, whose addresses in
// memory are random, too many of them may share sets of L2 (1 to 3 % at n = 2048).
constexpr int64_t kHugePageFloats = 1 << 19;
// Below this many rows or columns, the operands are used too seldom to pay for their packing.
constexpr int64_t kFromRows = 48;
constexpr int64_t kFromColumns = 64;
constexpr int64_t kFromFlops = 4 << 20;
// Rows of A this many floats (a page, all sets of L1) apart share their sets. Where L1 has too few
// ways for a strip's rows and so many lines of the panel beside them, such a strip is copied.
// Copying others costs 3 % at n = 512, and so does copying these where L1 has 12 ways (Zen 5, n =
// 1024, 8 rows; with 8 ways copies are 2 to 4 % faster).
constexpr int64_t kSharedSets = 1024;
constexpr int64_t kPanelWays = 4;
constexpr int64_t kLineFloats = 16;
// A thread keeps its copies where it will meet them in so many chunks (3 to 7 % of a product of n =
// 2048; in two, cold memory costs more than copying again) and all threads together need at most so
// many floats for that (64 MiB).
constexpr int64_t kKeepFor = 4;
constexpr int64_t kKeptFloats = 16 << 20;
// A chunk is cut into up to so many pieces, of at least so many strips (of 16 pieces instead of 8 a
// product of n = 1024 gains 3 % where the threads are of unequal speed).
constexpr int64_t kMostPieces = 16;
constexpr int64_t kLeastStrips = 4;
// Floats behind each row of a copied strip, so that its rows do not share sets of L1 either.
constexpr int64_t kRowPadding = kLineFloats;
// Rows per piece of work when a transposed A is rearranged: one cache line of each of its steps.
constexpr int64_t kRowsTogether = kLineFloats;
// A transposed A is rearranged for as many rows together as fit this many floats (64 MiB).
constexpr int64_t kTurnedFloats = 16 << 20;

// How C is cut into chunks, and these into pieces.
struct Grid {
  int64_t rows, columns, pieces;
};

// The grid with the least work for the slowest thread. Relative to its multiply-adds, a chunk of R
// rows and W columns costs about 32 / R to pack B (a cycle an element, 1 / 32 cycle per
// multiply-add) and 10 / W to copy A's strips. At least two chunks per thread even out threads of
// unequal speed.
Grid choose_grid(int64_t strips, int64_t strip_rows, int64_t vectors, int64_t lanes,
                 int64_t most_vectors) {
  const int64_t threads = num_threads(), wanted = threads > 1 ? 2 * threads : 1;
  const int64_t least_columns = divide_up(vectors, most_vectors);
  Grid best{1, least_columns, 1};
  double least = 0;
  for (int64_t columns = least_columns;
       columns <= std::min(std::max(least_columns, vectors / 2), least_columns + wanted);
       ++columns) {
    // The fewest rows of chunks that make enough, and some more for an even division.
    const int64_t enough = divide_up(wanted, columns), most = std::min(enough + 3, strips);
    for (int64_t rows = enough; rows <= most; ++rows) {
      const int64_t chunks = rows * columns, rounds = divide_up(chunks, threads);
      const double height = static_cast<double>(divide_up(strips, rows) * strip_rows),
                   width = static_cast<double>(divide_up(vectors, columns) * lanes);
      const double work =
          static_cast<double>(rounds) * height * width * (1 + 32 / height + 10 / width);
      if (least == 0 || work < least) {
        least = work;
        best = {rows, columns, 1};
      }
    }
  }
  return best;
}

// The columns of a chunk as panels: widest ones first, and no single vector left over if that can
// be avoided, since a tile of one vector is bound by loads.
struct ChunkPanels {
  int64_t first[kMaxPanels + 1];  // columns of C
  int count = 0;

  ChunkPanels(int64_t begin, int64_t end, int64_t lanes, int64_t widest) {
    for (int64_t column = begin; column < end;) {
      first[count++] = column;
      const int64_t left = divide_up(end - column, lanes), most = widest / lanes;
      column += lanes * (left == most + 1 ? divide_up(left, 2) : std::min(left, most));
    }
    first[count] = end;
  }
  int width(int panel) const { return static_cast<int>(first[panel + 1] - first[panel]); }
};

// What a thread has for itself.
struct Buffers {
  float* packed;  // the panels of its chunk
  float* copies;  // strips of A: the ones in use, or all that it has met
  bool* copied;   // whether strip s of block k is among them: [k * strips + s]; null if not kept
};

// A way of L1 is a page on all processors of interest, so that addresses need no translation first.
int64_t l1_ways() {
  return cache_sizes().l1d / (kSharedSets * static_cast<int64_t>(sizeof(float)));
}

// How many of the panels that ChunkPanels makes of so many vectors are not of full width.
int64_t narrow_panels(int64_t vectors, int64_t widest) {
  const int64_t rest = vectors % widest;
  return rest == 1 && vectors > widest ? 2 : rest > 0;
}

struct Strips {
  const GemmKernels& kernel;
  GemmShape shape;
  Matrix a, b;
  float* c;
  int64_t c_stride;
  GemmEpilogue epilogue;
  int64_t depth, blocks, strips, vectors, most_vectors;
  int64_t strips_together;  // that are turned at once
  bool copy_rows;

  Strips(const GemmShape& s, const Matrix& a_matrix, const Matrix& b_matrix, float* out,
         int64_t out_stride, const GemmEpilogue& end, int64_t k_depth)
      : kernel(kernels().gemm),
        shape(s),
        a(a_matrix),
        b(b_matrix),
        c(out),
        c_stride(out_stride),
        epilogue(end),
        depth(k_depth),
        blocks(divide_up(s.k, k_depth)),
        strips(divide_up(s.m, kernel.strip_rows)),
        vectors(divide_up(s.n, kernel.lanes)),
        strips_together(a_matrix.transposed
                            ? std::lcm(kernel.strip_rows, kernel.lanes) / kernel.strip_rows
                            : 1),
        copy_rows(!a_matrix.transposed && a_matrix.stride % kSharedSets == 0 &&
                  l1_ways() < kernel.strip_rows + kPanelWays) {
    // 9/16 of L2 for the panels of a chunk; A, C and what is on its way take the rest.
    const int64_t floats = cache_sizes().l2 * 9 / 16 / static_cast<int64_t>(sizeof(float));
    const int64_t panels =
        std::clamp<int64_t>(floats / depth / kernel.strip_columns, 1, kMaxPanels / 2);
    most_vectors = panels * kernel.strip_columns / kernel.lanes;
  }

  int64_t strip_stride() const { return depth + kRowPadding; }
  int64_t strip_size() const { return kernel.strip_rows * strip_stride(); }
  int64_t panels_size() const {
    const int64_t columns = std::min(most_vectors, vectors) * kernel.lanes + kernel.strip_columns;
    const int64_t size = columns * depth + kernel.strip_columns;
    return size < kHugePageFloats / 4 ? size : std::max(size, kHugePageFloats);
  }
  int64_t steps_of(int64_t block) const { return std::min(depth, shape.k - block * depth); }
  Grid grid() const {
    Grid best = choose_grid(strips, kernel.strip_rows, vectors, kernel.lanes, most_vectors);
    best.pieces =
        std::clamp<int64_t>(strips / best.rows / (kLeastStrips * strips_together), 1, kMostPieces);
    return best;
  }

  void pack_panels(const ChunkPanels& panels, int64_t block, float* packed) const;
  StripRows strip_of(int64_t strip, int64_t block, const Buffers& own) const;
  void turn_strips(int64_t strip, int64_t block, float* copy) const;
  void run_strip(const ChunkPanels& panels, int64_t strip, const StripRows& rows, int64_t block,
                 const float* packed) const;
  int64_t first_vector_of(const Grid& grid, int64_t across) const;
  ChunkPanels panels_of(const Grid& grid, int64_t chunk) const;
  void run_piece(const Grid& grid, int64_t chunk, int64_t block, int64_t piece,
                 const ChunkPanels& panels, const Buffers& own) const;
};

// Panel p of the chunk starts at packed[(first[p] - first[0]) * steps]. Rows of B are read a few at
// a time for all panels, because a row is contiguous while its parts in one panel lie far apart.
void Strips::pack_panels(const ChunkPanels& panels, int64_t block, float* packed) const {
  constexpr int64_t kStepsTogether = 4;
  const int64_t k0 = block * depth, steps = steps_of(block);
  for (int64_t k = 0; k < steps; k += b.transposed ? steps : kStepsTogether)
    for (int p = 0; p < panels.count; ++p) {
      const int64_t column = panels.first[p], width = panels.width(p),
                    step = divide_up(width, kernel.lanes) * kernel.lanes;
      float* panel = packed + (column - panels.first[0]) * steps + k * step;
      if (b.transposed) {
        kernel.pack_lines(b.data + column * b.stride + k0, b.stride, width, steps, panel, step);
      } else {
        const int64_t together = std::min(kStepsTogether, steps - k);
        kernel.pack_transposed(b.data + (k0 + k) * b.stride + column, b.stride, width, together,
                               steps - k - together, panel, step);
      }
    }
}

// A strip where it lies, or as a copy: the last one is filled up with zeros.
StripRows Strips::strip_of(int64_t strip, int64_t block, const Buffers& own) const {
  const int64_t row = strip * kernel.strip_rows, k0 = block * depth, steps = steps_of(block);
  const int64_t valid = std::min<int64_t>(kernel.strip_rows, shape.m - row);
  const float* source = a.data + row * a.stride + k0;
  const bool more = strip + 1 < strips;
  const float* next = more ? source + kernel.strip_rows * a.stride : nullptr;
  if (!copy_rows && valid == kernel.strip_rows) return {source, a.stride, next, a.stride};

  const int64_t index = block * strips + strip;
  float* copy = own.copies + (own.copied ? index * strip_size() : 0);
  if (own.copied && own.copied[index])
    return {copy, strip_stride(), more ? copy + strip_size() : nullptr, strip_stride()};
  for (int64_t i = 0; i < kernel.strip_rows; ++i) {
    const size_t bytes = static_cast<size_t>(steps) * sizeof(float);
    if (i < valid) {
      std::memcpy(copy + i * strip_stride(), source + i * a.stride, bytes);
    } else {
      std::memset(copy + i * strip_stride(), 0, bytes);
    }
  }
  if (own.copied) own.copied[index] = true;
  return {copy, strip_stride(), next, a.stride};
}

// Strips of a transposed A, as many as fill whole vectors of it with rows.
void Strips::turn_strips(int64_t strip, int64_t block, float* copy) const {
  const int64_t row = strip * kernel.strip_rows, rows = strips_together * kernel.strip_rows;
  const int64_t valid = std::min(rows, shape.m - row);
  kernel.pack_lines(a.data + block * depth * a.stride + row, a.stride, steps_of(block), valid, copy,
                    strip_stride());
  std::fill(copy + valid * strip_stride(), copy + rows * strip_stride(), 0.0f);
}

void Strips::run_strip(const ChunkPanels& panels, int64_t strip, const StripRows& rows,
                       int64_t block, const float* packed) const {
  constexpr int kMaxRows = 16;
  const int64_t row = strip * kernel.strip_rows, steps = steps_of(block);
  const int height = static_cast<int>(std::min<int64_t>(kernel.strip_rows, shape.m - row));
  const int64_t valid_next =
      std::min<int64_t>(kernel.strip_rows, shape.m - row - kernel.strip_rows);
  const bool last = block == blocks - 1;
  float* c_rows[kMaxRows];
  for (int p = 0; p < panels.count; ++p) {
    const int64_t column = panels.first[p];
    for (int i = 0; i < height; ++i) c_rows[i] = c + (row + i) * c_stride + column;
    const TileOutput out{c_rows, last && epilogue.bias ? epilogue.bias + column : nullptr,
                         epilogue.alpha, block > 0 || epilogue.accumulate,
                         last ? epilogue.activation : TileActivation::kNone};
    // Each tile asks for two rows of the next strip, or for four where it has fewer than four tiles
    // and its rows follow one another (1x1 convolution, 256 -> 64 channels, 56x56, batch 16, one
    // thread: 11.2 -> 7.5 ms).
    StripRows part = rows;
    const int64_t asked = panels.count < 4 && rows.next_stride == steps ? 4 : 2;
    part.next_step = asked / 2 * kStripStep;
    part.next_stride = asked / 2 * rows.next_stride;
    part.next = rows.next && asked * p + asked <= valid_next
                    ? rows.next + asked * p * rows.next_stride
                    : nullptr;
    kernel.strip_tile(height, panels.width(p), part, packed + (column - panels.first[0]) * steps,
                      steps, out);
  }
}

// The columns are shared out evenly, but chunks with even numbers take a few vectors of the next
// one where that makes fewer panels narrower than the others (64 vectors: 17 + 15 + 17 + 15, not 4
// * 16; 2 % of a product of n = 1024).
int64_t Strips::first_vector_of(const Grid& grid, int64_t across) const {
  const int64_t first = across * vectors / grid.columns;
  if (across % 2 == 0 || across == grid.columns) return first;
  const int64_t widest = kernel.strip_columns / kernel.lanes;
  const int64_t before = (across - 1) * vectors / grid.columns,
                after = (across + 1) * vectors / grid.columns;
  int64_t best = first, fewest = INT64_MAX;
  for (int64_t shift = 0; shift < widest && shift < after - first; ++shift) {
    const int64_t cut = first + shift,
                  narrow = narrow_panels(cut - before, widest) + narrow_panels(after - cut, widest);
    if (narrow < fewest) {
      fewest = narrow;
      best = cut;
    }
  }
  return best;
}

ChunkPanels Strips::panels_of(const Grid& grid, int64_t chunk) const {
  const int64_t across = chunk / grid.rows;
  return ChunkPanels(first_vector_of(grid, across) * kernel.lanes,
                     std::min(first_vector_of(grid, across + 1) * kernel.lanes, shape.n),
                     kernel.lanes, kernel.strip_columns);
}

void Strips::run_piece(const Grid& grid, int64_t chunk, int64_t block, int64_t piece,
                       const ChunkPanels& panels, const Buffers& own) const {
  const int64_t down = (chunk % grid.rows) * grid.pieces + piece, all = grid.rows * grid.pieces;
  const int64_t first = down * strips / all, last = (down + 1) * strips / all;
  for (int64_t strip = first; strip < last; ++strip) {
    const int64_t among = (strip - first) % strips_together;
    if (a.transposed && among == 0) turn_strips(strip, block, own.copies);
    const StripRows rows =
        a.transposed ? StripRows{own.copies + among * strip_size(), strip_stride(), nullptr, 0}
                     : strip_of(strip, block, own);
    run_strip(panels, strip, rows, block, own.packed);
  }
}

// A^T's steps become rows of floats side by side: row i, step k at rows[i * stride + k].
void turn_rows(const GemmKernels& kernel, const GemmShape& shape, const Matrix& a, int64_t stride,
               float* rows) {
  const int64_t pieces = divide_up(shape.m, kRowsTogether);
  parallel_for(pieces, grain_for(shape.k * kRowsTogether), [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t row = piece * kRowsTogether;
      kernel.pack_lines(a.data + row, a.stride, shape.k, std::min(kRowsTogether, shape.m - row),
                        rows + row * stride, stride);
    }
  });
}

void run(const Strips& product, const Grid& grid) {
  const int64_t chunks = grid.rows * grid.columns,
                workers = std::min<int64_t>(chunks, num_threads());
  const int64_t all = product.blocks * product.strips;
  const bool keep = product.copy_rows && grid.columns >= kKeepFor * workers &&
                    workers * all * product.strip_size() <= kKeptFloats;
  const int64_t kept = keep ? all : 0;
  WorkBoard board(chunks, product.blocks, grid.pieces);
  parallel_for(workers, 1, [&](int64_t, int64_t) {
    const Scratch<float> packed(product.panels_size()),
        copies((keep ? kept : product.strips_together) * product.strip_size());
    const Scratch<bool> copied(kept);
    std::fill_n(copied.data(), kept, false);
    const Buffers own{packed.data(), copies.data(), keep ? copied.data() : nullptr};
    board.take_part(
        [&](int64_t chunk, int64_t block) {
          product.pack_panels(product.panels_of(grid, chunk), block, own.packed);
        },
        [&](int64_t chunk, int64_t block, int64_t piece) {
          product.run_piece(grid, chunk, block, piece, product.panels_of(grid, chunk), own);
        });
  });
}

}  // namespace

bool gemm_prefers_strips(const GemmShape& shape) {
  return shape.m >= kFromRows && shape.n >= kFromColumns &&
         2 * shape.m * shape.n * shape.k >= kFromFlops;
}

void gemm_strips(const GemmShape& shape, const Matrix& a, const Matrix& b, float* c,
                 int64_t c_stride, const GemmEpilogue& epilogue, int64_t depth) {
  const Strips product(shape, a, b, c, c_stride, epilogue, depth);
  const Grid grid = product.grid();
  if (!a.transposed || grid.columns == 1) return run(product, grid);

  // An odd number of lines apart, the rows fall into different sets of L1.
  const int64_t lines = divide_up(shape.k, kLineFloats);
  const int64_t stride = (lines + 1 + lines % 2) * kLineFloats;
  const int64_t together = std::min(shape.m, std::max(kFromRows, kTurnedFloats / stride));
  const Scratch<float> rows(together * stride);
  for (int64_t row = 0; row < shape.m; row += together) {
    const GemmShape part{std::min(together, shape.m - row), shape.n, shape.k};
    turn_rows(product.kernel, part, {a.data + row, a.stride, true}, stride, rows.data());
    const Strips turned(part, {rows.data(), stride, false}, b, c + row * c_stride, c_stride,
                        epilogue, depth);
    run(turned, turned.grid());
  }
}

}  // namespace neurona
