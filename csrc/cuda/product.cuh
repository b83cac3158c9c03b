// The product under matrix multiplication and every convolution, in float32 on plain cores:
//
//   target(m, n) = sum over k of a(m, k) b(n, k)      for each of `batches` independent products
//
// Where a and b come from is the business of sources, where the result goes that of a target, so
// that a convolution never writes its patches down. A block of 16 x 16 threads computes a tile of
// 64 or 128 rows and columns; a thread computes 4 x 4 elements of each of its 64 x 64 quarters. The
// tile advances along k in steps of kDepth: both operands' parts lie in shared memory as [k][line],
// twice, so that the next parts are written while these are read, with one barrier per step.
//
// Each element is one chain of fmaf() with k ascending, whatever the tile: its bits do not depend
// on the other rows and columns. Only products with fewer tiles than a GPU has multiprocessors are
// cut along k as well (`slices`), their parts added in order by the block of a tile that comes
// last.
//
// A source has
//   Line line(int64_t batch, int64_t index)   what is common to row `index` (out of range: nothing)
//   Step step(int64_t batch, int64_t k)       what is common to all rows at k
//   const float* address(const Line&, const Step&)   where the element is, null where none is: 0
//   const float* first()                      an address that may be named where nothing is read
//   bool is_in_fours(int64_t depth)           on the host: whether 4 neighbours at a multiple of 4
//                                             are always there, or not there, together, and begin
//                                             at a multiple of 16 bytes
//   static constexpr bool kDepthIsContiguous  whether neighbours along k are neighbours in memory,
//                                             which decides how threads share the loads
//
// A target takes sums in runs of kRun (1, 2 or 4) neighbouring columns from a multiple of kRun on,
// so that what it has to ask is asked once for a row or for the columns, and a run is stored with
// one instruction where its address allows it. It has
//   Row row(int64_t batch, int64_t m)         what is common to row m
//   Columns<kRun> columns<kRun>(int64_t batch, int64_t n, int count)
//                                             what is common to the columns n, n + 1, .., of which
//                                             the first `count` are there
//   bool stores_together<kRun>()              whether whole runs may go to store_together()
//   void store_together(const Row&, const Columns<kRun>&, const Run<kRun>& sums)
//   void store(const Row&, const Columns<kRun>&, const Run<kRun>& sums)   what is there of a run
// A kernel gives store_runs() (slices.cuh) what a thread holds.
#pragma once

#include "cuda/dense_source.cuh"
#include "cuda/device.h"
#include "cuda/device_memory.h"
#include "cuda/product_grid.cuh"
#include "cuda/slices.cuh"

namespace neurona {

// A part of kLines lines and kDepth elements of each, from a source by way of registers to shared
// memory: the loads of the next part are on their way while this one is multiplied.
template <int kLines, typename Source>
class PartLoader {
 public:
  __device__ PartLoader(const Source& source, int64_t batch, int64_t first_line)
      : source_(source), batch_(batch) {
    for (int i = 0; i < kOwnLines; ++i) lines_[i] = source.line(batch, first_line + own_line(i));
  }

  __device__ void fetch(int64_t first_k, int64_t end_k) {
    typename Source::Step step{};
    NEURONA_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      if (i == 0 || !Source::kDepthIsContiguous) {
        const int64_t k = first_k + own_depth(i);
        inside_ = k < end_k;
        if (inside_) step = source_.step(batch_, k);
      }
      const auto& line = lines_[Source::kDepthIsContiguous ? i : 0];
      const float* from = inside_ ? source_.address(line, step) : nullptr;
      held_[i] = from ? *from : 0.0f;
    }
  }

  // Calls put(line, depth, element) for what this thread holds.
  template <typename Put>
  __device__ void store(const Put& put) const {
    NEURONA_UNROLL
    for (int i = 0; i < kOwn; ++i) put(own_line(i), own_depth(i), held_[i]);
  }

 private:
  // Along k first, each thread loads one k of several lines; along lines first, several k of one.
  static constexpr int kOwn = kLines * kDepth / kProductThreads;
  static constexpr int kOwnLines = Source::kDepthIsContiguous ? kOwn : 1;

  __device__ static int own_line(int i) {
    const int thread = threadIdx.x;
    return Source::kDepthIsContiguous ? thread / kDepth + i * (kProductThreads / kDepth)
                                      : thread % kLines;
  }
  __device__ static int own_depth(int i) {
    const int thread = threadIdx.x;
    return Source::kDepthIsContiguous ? thread % kDepth
                                      : thread / kLines + i * (kProductThreads / kLines);
  }

  const Source& source_;
  int64_t batch_;
  bool inside_ = false;
  typename Source::Line lines_[kOwnLines];
  float held_[kOwn];
};

// A part in shared memory: 4 columns more than lines, so that stores along k meet other banks.
template <int kLines>
using Part = float[kDepth][kLines + 4];

template <int kLines, typename Source>
__device__ inline void store_part(const PartLoader<kLines, Source>& loader, Part<kLines>& part) {
  loader.store([&](int line, int depth, float element) { part[depth][line] = element; });
}

// The 4 * kQuarters elements of one k that a thread multiplies.
template <int kQuarters>
struct Fragment {
  float value[4 * kQuarters];

  template <typename Row>
  __device__ void load(const Row& row, int first) {
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
      const float4 four = *reinterpret_cast<const float4*>(&row[quarter * kQuarter + first]);
      value[4 * quarter] = four.x;
      value[4 * quarter + 1] = four.y;
      value[4 * quarter + 2] = four.z;
      value[4 * quarter + 3] = four.w;
    }
  }
};

// A multiprocessor has registers for two blocks of the smallest tiles, or for one of larger ones.
constexpr int blocks_at_once(int quarters) { return quarters > 1 ? 1 : 2; }

template <int kQuartersM, int kQuartersN, typename SourceA, typename SourceB, typename Target>
__global__ void __launch_bounds__(kProductThreads, blocks_at_once(kQuartersM* kQuartersN))
    product_kernel(ProductShape shape, ProductGrid grid, SourceA a, SourceB b,
                   ProductOutput<Target> output) {
  constexpr int kTileM = kQuartersM * kQuarter, kTileN = kQuartersN * kQuarter;
  NEURONA_SHARED(Part<kTileM>, parts_a, [2]);
  NEURONA_SHARED(Part<kTileN>, parts_b, [2]);

  const BlockPlace place = block_place(grid);
  const int64_t first_m = int64_t{place.tile_m} * kTileM, first_n = int64_t{place.tile_n} * kTileN;
  const int64_t first_k = place.slice * grid.slice_length;
  const int64_t end_k = min(shape.k, first_k + grid.slice_length);
  const int row = 4 * (threadIdx.x / 16), column = 4 * (threadIdx.x % 16);

  PartLoader<kTileM, SourceA> loader_a(a, place.batch, first_m);
  PartLoader<kTileN, SourceB> loader_b(b, place.batch, first_n);
  Run<4> sums[4 * kQuartersM][kQuartersN] = {};
  loader_a.fetch(first_k, end_k);
  loader_b.fetch(first_k, end_k);
  store_part(loader_a, parts_a[0]);
  store_part(loader_b, parts_b[0]);
  __syncthreads();
  int current = 0;
  for (int64_t k = first_k; k < end_k; k += kDepth) {
    const bool more = k + kDepth < end_k;
    if (more) {
      loader_a.fetch(k + kDepth, end_k);
      loader_b.fetch(k + kDepth, end_k);
    }
    NEURONA_UNROLL
    for (int depth = 0; depth < kDepth; ++depth) {
      Fragment<kQuartersM> left;
      Fragment<kQuartersN> right;
      left.load(parts_a[current][depth], row);
      right.load(parts_b[current][depth], column);
      for (int i = 0; i < 4 * kQuartersM; ++i)
        for (int j = 0; j < 4 * kQuartersN; ++j) {
          float& sum = sums[i][j / 4].at[j % 4];
          sum = fmaf(left.value[i], right.value[j], sum);
        }
    }
    if (!more) break;
    current ^= 1;
    store_part(loader_a, parts_a[current]);
    store_part(loader_b, parts_b[current]);
    __syncthreads();
  }

  if constexpr (kQuartersM * kQuartersN == 1)  // of larger tiles there are enough
    if (output.parts && !add_slices<4>(output.parts, place, grid, &parts_a[0][0][0],
                                       [&](int i) -> Run<4>& { return sums[i][0]; }))
      return;
  store_runs<4, 4 * kQuartersM, kQuartersN>(
      output.target, place.batch, shape,
      [&](int i) { return first_m + i / 4 * kQuarter + row + i % 4; },
      [&](int j) { return first_n + j * kQuarter + column; },
      [&](int i, int j) { return sums[i][j]; });
}

// Launches `kernel` on a grid of tiles of tile_m x tile_n.
template <typename SourceA, typename SourceB, typename Target>
void run_product(const char* name,
                 void (*kernel)(ProductShape, ProductGrid, SourceA, SourceB, ProductOutput<Target>),
                 int64_t tile_m, int64_t tile_n, const ProductShape& shape, const SourceA& a,
                 const SourceB& b, const Target& target) {
  const ProductGrid grid = product_grid(shape, tile_m, tile_n);
  const int64_t blocks = grid.tiles_m * grid.tiles_n * grid.slices * shape.batches;
  const Workspace parts(
      grid.slices == 1 ? 0 : static_cast<size_t>(blocks * tile_m * tile_n) * sizeof(float));
  launch(name, kernel, Launch{dim3(static_cast<unsigned>(blocks)), dim3(kProductThreads)}, shape,
         grid, a, b, ProductOutput<Target>{target, parts.as<float>()});
}

// Tiles of 128 rows or columns halve the loads for each product; they are taken where there are
// enough of them.
template <typename SourceA, typename SourceB, typename Target>
void plain_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                   const Target& target) {
  constexpr int64_t kSmall = kQuarter, kLarge = 2 * kQuarter;
  if (shape.n > kSmall && enough_tiles(shape, kLarge, kLarge))
    return run_product(name, product_kernel<2, 2, SourceA, SourceB, Target>, kLarge, kLarge, shape,
                       a, b, target);
  if (enough_tiles(shape, kLarge, kSmall))
    return run_product(name, product_kernel<2, 1, SourceA, SourceB, Target>, kLarge, kSmall, shape,
                       a, b, target);
  run_product(name, product_kernel<1, 1, SourceA, SourceB, Target>, kSmall, kSmall, shape, a, b,
              target);
}

}  // namespace neurona
