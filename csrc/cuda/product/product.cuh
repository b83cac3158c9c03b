// The product under matrix multiplication and every convolution, in float32 on plain cores:
//
//   target(m, n) = sum over k of a(m, k) b(n, k)      for each of `batches` independent products
//
// Where a and b come from is the business of sources, where the result goes that of a target, so
// that a convolution never writes its patches down. A block of 256 threads computes a tile of 64
// to 256 rows and columns; a thread computes 4 x 4 elements of each of its 64 x 64 quarters. Parts
// of both operands, 16 elements of k long, come by cp.async, several of them in turn: while one is
// multiplied the next are under way, and one barrier per part says both that a part has come for
// all threads and that the one before it has been read by all.
//
// Each element of such a tile is one chain of fmaf() with k ascending: its bits do not depend on
// the other rows and columns. Where they would leave multiprocessors idle, smaller tiles are shared
// by groups of threads, each with its part of k, down to 16 rows and columns for 16 groups, and are
// cut along k into slices. The sums of groups and of slices are added in their order, the latter by
// the block of a tile that comes last (slices.cuh).
//
// A source has
//   Line line(int64_t batch, int64_t index)   what is common to row `index`; there may be no such
//                                             row, of whose sums nothing is stored then
//   Step step(int64_t batch, int64_t k)       what is common to all rows at k
//   const float* address(const Line&, const Step&)
//                                             where the element is, null where none is: 0
//   static constexpr bool kIsEverywhere       whether that is never null; if not, it has
//   bool has(const Line&, const Step&)        whether there is an element, and where it would be
//   const float* place(const Line&, const Step&)
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

#include <algorithm>

#include "cuda/device.h"
#include "cuda/platform/device_memory.h"
#include "cuda/product/dense_source.cuh"
#include "cuda/product/part_copier.cuh"
#include "cuda/product/plain_parts.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/product/slices.cuh"

namespace neurona {

constexpr int kSmallPlainTile = 32, kSmallestPlainTile = 16;

// How a block shares a tile of kM x kN, whose elements are copied kWidth at a time.
template <int kM, int kN, int kWidth>
struct PlainTile {
  static constexpr int kRunsM = kRunsOfThread<kM>, kRunsN = kRunsOfThread<kN>;
  // Threads side by side, each with runs of 4 columns; a warp is 4 x 8 threads, or two groups of
  // 4 x 4.
  static constexpr int kDown = kM / kRunsM / 4, kAcross = kN / kRunsN / 4;
  // Groups of threads that have the whole tile each, and their own quads of a part. The fewer sums
  // a thread has, the more it reads of shared memory for each multiplication: with 8 x 8 sums 16
  // floats for 64, with 4 x 4 twice as many.
  static constexpr int kGroups = kProductThreads / (kDown * kAcross);
  static constexpr int kDepths = kGroups > 4 ? 64 : kGroups > 2 ? 32 : 16;
  // What a thread has of the tile when the groups' sums are added: so many rows, of kRunsN runs;
  // of the smallest tile only the first threads have some.
  static constexpr int kRowsLeft = divide_up(kM * kAcross, kProductThreads);
  static constexpr int kThreadsLeft = kM * kAcross / kRowsLeft;
  // Whether operands along the depth are transposed on their way to shared memory. Without groups a
  // thread has many multiplications for each element that it copies: with two such operands, 24
  // copies instead of 6 for 2048 of them. Of a tile that two groups share it would be 12 instead of
  // 3 for 512, and more instructions than are spared, unless elements come one by one anyway.
  static constexpr bool kTransposes = kGroups == 1 || kWidth == 1;
  using Layout = PlainLayout<kDepths, kTransposes>;
  static constexpr int kPartA = Layout::template kRow<kM> * kDepths;
  static constexpr int kPart = kPartA + Layout::template kRow<kN> * kDepths;
  // As many parts as 48 KiB hold, which all GPUs since sm_80 have for two blocks, and three at
  // least: 50 KiB for 128 x 128, 74 KiB for 128 x 256, of which there are registers for one block.
  static constexpr int kStages = std::max(48 * 1024 / (kPart * static_cast<int>(sizeof(float))), 3);
  static constexpr int kBytes = kStages * kPart * static_cast<int>(sizeof(float));

  __device__ static int group() { return threadIdx.x / (kDown * kAcross); }
  // The first run of a thread's rows and columns. The bits of a lane's number count across and down
  // in turns: lanes that differ in bit 0 alone read the same rows, in bit 1 alone the same columns.
  // Where either holds of all lanes, shared memory answers a load of 16 bytes with two wavefronts,
  // and with four otherwise, however few words are read.
  __device__ static int row_run() {
    return own() / kWarpSize / kWarpsAcross * kLanesDown + (lane() >> 1 & 1) + (lane() >> 2 & 2);
  }
  __device__ static int column_run() {
    return own() / kWarpSize % kWarpsAcross * kLanesAcross + (lane() & 1) + (lane() >> 1 & 2) +
           (lane() >> 2 & 4);
  }

 private:
  static constexpr int kLanesAcross = kAcross < 8 ? kAcross : 8, kLanesDown = 4,
                       kWarpsAcross = kAcross / kLanesAcross;
  __device__ static int own() { return threadIdx.x % (kDown * kAcross); }
  __device__ static int lane() { return own() % kWarpSize; }
};

// Of a tile that groups share, the sums of all groups in their order. They meet in shared memory,
// one run of each thread's rows and columns at a time: 4 kDown x 4 kAcross elements of each group,
// 16 KiB. Row (i * kProductThreads + t) / kAcross of the tile is left[i] of thread t. Of every
// other run of rows halves of 32 words have changed places: 8 threads side by side have two of
// them, whose words would be in the same banks.
template <typename Tile>
__device__ inline void add_groups(float* memory,
                                  const Run<4> (&sums)[4 * Tile::kRunsM][Tile::kRunsN],
                                  Run<4> (&left)[Tile::kRowsLeft][Tile::kRunsN]) {
  constexpr int kRow = 4 * Tile::kAcross, kGroup = 4 * Tile::kDown * kRow;
  constexpr int kRowsAtOnce = Tile::kRowsLeft / Tile::kRunsM;
  const auto place_of = [](int group, int word) {
    return group * kGroup + (word ^ word / (4 * kRow) % 2 * 16);
  };
  const int own = 4 * Tile::row_run() * kRow + 4 * Tile::column_run();
  NEURONA_UNROLL
  for (int run = 0; run < Tile::kRunsM * Tile::kRunsN; ++run) {
    const int down = run / Tile::kRunsN, across = run % Tile::kRunsN;
    __syncthreads();
    NEURONA_UNROLL
    for (int i = 0; i < 4; ++i) {
      const Run<4>& sum = sums[4 * down + i][across];
      *reinterpret_cast<float4*>(memory + place_of(Tile::group(), own + i * kRow)) =
          make_float4(sum.at[0], sum.at[1], sum.at[2], sum.at[3]);
    }
    __syncthreads();
    if (threadIdx.x >= Tile::kThreadsLeft) continue;
    NEURONA_UNROLL
    for (int i = 0; i < kRowsAtOnce * Tile::kGroups; ++i) {
      const int group = i % Tile::kGroups, row = i / Tile::kGroups;
      const float* part = memory + place_of(group, 4 * (row * kProductThreads + threadIdx.x));
      add_part(left[down * kRowsAtOnce + row][across], *reinterpret_cast<const float4*>(part),
               group == 0);
    }
  }
}

// A multiprocessor has registers for two blocks whose threads have 64 sums or fewer, unless they
// hold more beside 64 of them: which of two groups they belong to, 4 depths of 8 lines, where to
// copy single elements from, or what a convolution computes of each line.
template <int kTileM, int kTileN, int kWidth, typename SourceA, typename SourceB>
constexpr int blocks_at_once() {
  using Tile = PlainTile<kTileM, kTileN, kWidth>;
  constexpr int kSums = 16 * Tile::kRunsM * Tile::kRunsN;
  constexpr bool kHoldsQuadsOrSingles = SourceA::kDepthIsContiguous || SourceB::kDepthIsContiguous,
                 kHoldsLines = !SourceA::kIsEverywhere || !SourceB::kIsEverywhere;
  if (kSums < 64) return 2;
  const bool holds_more = Tile::kGroups == 2 || kWidth != 4 || kHoldsQuadsOrSingles || kHoldsLines;
  return kSums == 64 && !holds_more ? 2 : 1;
}

struct alignas(16) Four {
  float at[4];
};

// What the block of this number does, with kStages parts of shared memory. It waits for earlier
// kernels itself: until then it finds its place, a few hundred cycles of divisions and of kernel
// parameters that nobody has read before, which pass while the kernel before still runs.
template <int kTileM, int kTileN, int kWidth, typename SourceA, typename SourceB, typename Target>
__device__ inline void multiply_tile(unsigned number, float* const memory,
                                     const ProductShape& shape, const ProductGrid& grid,
                                     const SourceA& a, const SourceB& b,
                                     const ProductOutput<Target>& output) {
  using Tile = PlainTile<kTileM, kTileN, kWidth>;
  using Layout = typename Tile::Layout;
  constexpr int kDepths = Tile::kDepths, kStages = Tile::kStages;
  constexpr int kPart = Tile::kPart, kPartA = Tile::kPartA;
  const BlockPlace place = place_of(grid, number);
  const int64_t first_m = int64_t{place.tile_m} * kTileM, first_n = int64_t{place.tile_n} * kTileN;
  const SliceParts<kDepths> slice(shape, grid, place.slice);

  PartCopier<kTileM, kDepths, kWidth, Layout, SourceA> copier_a(a, place.batch, first_m,
                                                                slice.first_k);
  PartCopier<kTileN, kDepths, kWidth, Layout, SourceB> copier_b(b, place.batch, first_n,
                                                                slice.first_k);
  wait_for_earlier_kernels();
  if (slice.count > 0) {
    copier_a.begin_first(slice.first_depths, memory);
    copier_b.begin_first(slice.first_depths, memory + kPartA);
  }
  commit_copies();
  const auto begin_a = [&](unsigned number, float* part) {
    if (number < slice.count) copier_a.begin_next(part);
  };
  const auto begin_b = [&](unsigned number, float* part) {
    if (number < slice.count) copier_b.begin_next(part + kPartA);
    commit_copies();  // beyond the end a group of nothing, so that waits count it alike
  };
  // Loads of shared memory wait for the copies that were asked for before them. So where these are
  // many, those of b are asked for half a part after those of a.
  constexpr int kQuads = kDepths / kQuad / Tile::kGroups,  // of a thread in a part
      kQuadOfB = Tile::kGroups == 1 ? kQuads / 2 : 0;
  for (int stage = 1; stage < kStages - (kQuadOfB > 0); ++stage) {
    begin_a(stage, memory + stage * kPart);
    begin_b(stage, memory + stage * kPart);
  }
  int filled = (kStages - 1) * kPart;  // the place that the next copies go to
  if constexpr (kQuadOfB > 0) begin_a(kStages - 1, memory + filled);

  // The bias is far away: of the smallest tiles, which are taken where there is little else to do
  // and have registers for it, it is asked for here and not when the sums are there.
  constexpr bool kAsksEarly = kTileM <= kSmallestPlainTile && kTileN <= kSmallestPlainTile;
  const auto column_left = [&](int j) {
    return first_n + j * kSpan<kTileN> + 4 * (threadIdx.x % Tile::kAcross);
  };
  typename Target::template Columns<4> columns[Tile::kRunsN];
  if (kAsksEarly && threadIdx.x < Tile::kThreadsLeft)
    ask_columns<4>(output.target, place.batch, shape, column_left, columns);

  using ViewA = PartView<kTileM, Layout, SourceA::kDepthIsContiguous>;
  using ViewB = PartView<kTileN, Layout, SourceB::kDepthIsContiguous>;
  ViewA view_a{memory, ViewA::first_word(Tile::row_run(), Tile::group())};
  ViewB view_b{memory, kPartA + ViewB::first_word(Tile::column_run(), Tile::group())};
  Run<4> sums[4 * Tile::kRunsM][Tile::kRunsN] = {};
  // Counted up like addresses, so that nothing is computed anew for a part.
  int stage = 0;
  const auto next_of = [](int word) { return word == (kStages - 1) * kPart ? 0 : word + kPart; };
  // One barrier says both that the next part has come and that this one has been read. What follows
  // it at once, before a place is filled again, are the loads that the next products wait for, and
  // the last products of a part follow those.
  const auto end_part = [&] {
    wait_for_copies<kStages - 2>();
    __syncthreads();
    const int next = next_of(stage);
    view_a.word += next - stage;
    view_b.word += next - stage;
    stage = next;
  };
  wait_for_copies<kStages - 1 - (kQuadOfB > 0)>();
  __syncthreads();
  QuadBegin<ViewA, ViewB> begin;
  begin.load(view_a, view_b, 0);
  for (unsigned part = 0; part < slice.count; ++part) {
    NEURONA_UNROLL
    for (int quad = 0; quad < kQuads; ++quad)
      multiply_quad(view_a, view_b, quad * Tile::kGroups, begin, sums, [&](auto& next) {
        const int following = (quad + 1) % kQuads;
        if (following == 0) {
          filled = stage;
          end_part();
        }
        next.load(view_a, view_b, following * Tile::kGroups);
        if (following == 0) begin_a(part + kStages, memory + filled);
        if (following == kQuadOfB) begin_b(part + kStages - (kQuadOfB > 0), memory + filled);
      });
  }

  if constexpr (Tile::kGroups == 1) {
    store_runs<4, 4 * Tile::kRunsM, Tile::kRunsN>(
        output.target, place.batch, shape,
        [&](int i) { return first_m + i / 4 * kSpan<kTileM> + 4 * Tile::row_run() + i % 4; },
        [&](int j) { return first_n + j * kSpan<kTileN> + 4 * Tile::column_run(); },
        [&](int i, int j) { return sums[i][j]; });
  } else {
    constexpr int kRows = Tile::kRowsLeft, kRuns = Tile::kRunsN;
    Run<4> left[kRows][kRuns];
    add_groups<Tile>(memory, sums, left);
    const auto left_of = [&](int i) -> Run<4>& { return left[i / kRuns][i % kRuns]; };
    if (output.parts &&
        !add_slices<kRows * kRuns>(output.parts, place, grid, output.counters, memory, left_of))
      return;
    if (threadIdx.x >= Tile::kThreadsLeft) return;
    if constexpr (!kAsksEarly)
      ask_columns<4>(output.target, place.batch, shape, column_left, columns);
    store_runs<4, kRows, kRuns>(
        output.target, place.batch, shape, columns,
        [&](int i) { return first_m + (i * kProductThreads + threadIdx.x) / Tile::kAcross; },
        column_left, [&](int i, int j) { return left[i][j]; });
  }
}

template <int kTileM, int kTileN, int kWidth, typename SourceA, typename SourceB, typename Target>
__global__ void __launch_bounds__(kProductThreads,
                                  blocks_at_once<kTileM, kTileN, kWidth, SourceA, SourceB>())
    product_kernel(ProductShape shape, ProductGrid grid, SourceA a, SourceB b,
                   ProductOutput<Target> output) {
  NEURONA_DYNAMIC_SHARED(Four, fours);
  multiply_tile<kTileM, kTileN, kWidth>(blockIdx.x, fours[0].at, shape, grid, a, b, output);
}

// Launches `kernel` on a grid of tiles of tile_m x tile_n, with so much dynamic shared memory.
template <typename SourceA, typename SourceB, typename Target>
void run_product(const char* name,
                 void (*kernel)(ProductShape, ProductGrid, SourceA, SourceB, ProductOutput<Target>),
                 size_t shared_bytes, const ProductGrid& grid, int64_t tile_m, int64_t tile_n,
                 const ProductShape& shape, const SourceA& a, const SourceB& b,
                 const Target& target) {
  const int64_t blocks = grid.tiles_m * grid.tiles_n * grid.slices * shape.batches;
  const Workspace parts(
      grid.slices == 1 ? 0 : static_cast<size_t>(blocks * tile_m * tile_n) * sizeof(float));
  launch(name, kernel,
         overlapping({dim3(static_cast<unsigned>(blocks)), dim3(kProductThreads), shared_bytes}),
         shape, grid, a, b, ProductOutput<Target>{target, parts.as<float>(), block_counters()});
}

// The grid of tiles of one size, and how long they take, beside others: what a multiprocessor with
// the most of them has to do. Those that groups share may be cut along k, where there are few of
// them or where that fills the last round; the others, whose threads hold all sums, may not.
template <int kTileM, int kTileN>
struct PlainPlan {
  static constexpr int kGroups = PlainTile<kTileM, kTileN, 4>::kGroups;
  ProductGrid grid;
  int64_t time;

  explicit PlainPlan(const ProductShape& shape)
      : grid(kGroups == 1 ? uncut_grid(shape, kTileM, kTileN)
                          : product_grid(shape, kTileM, kTileN)) {
    // Adding slices takes as long as so many elements of k, and more for each (estimates, to be
    // measured).
    constexpr int64_t kMostSlices = 16, kOfSlices = 80, kOfSlice = 8;
    const int64_t tiles = grid.tiles_m * grid.tiles_n * shape.batches;
    const auto rounds_of = [&](int64_t slices, int64_t length) {
      const int64_t adding = slices == 1 ? 0 : kOfSlices + kOfSlice * slices;
      return divide_up(tiles * slices, kEnoughTiles) * (length + adding);
    };
    time = rounds_of(grid.slices, grid.slices == 1 ? shape.k : grid.slice_length);
    if constexpr (kTileM >= 64 && kGroups > 1) {
      const int64_t most =
          tiles > kBlockCounters ? 1 : std::min(kMostSlices, shape.k / kShortestCut);
      for (int64_t wanted = 2; wanted <= most; ++wanted) {
        const int64_t length = divide_up(divide_up(shape.k, wanted), kCutStep) * kCutStep,
                      slices = divide_up(shape.k, length), rounds = rounds_of(slices, length);
        if (rounds >= time) continue;
        time = rounds;
        grid.slices = slices;
        grid.slice_length = length;
      }
    }
    // Of smaller tiles more instructions are no multiplications, and of the smallest a thread waits
    // for shared memory (from the machine code, to be measured).
    constexpr int kSums = kTileM * kTileN, kPercent = kSums > 128 * 128  ? 100
                                                      : kSums > 128 * 64 ? 104
                                                      : kGroups == 2     ? 108
                                                      : kSums >= 64 * 64 ? 110
                                                                         : 140;
    time *= int64_t{kSums} * kPercent;
  }
};

template <int kTileM, int kTileN, int kWidth, typename SourceA, typename SourceB, typename Target>
void plain_product_by(const char* name, const ProductShape& shape, const SourceA& a,
                      const SourceB& b, const Target& target) {
  run_product(name, product_kernel<kTileM, kTileN, kWidth, SourceA, SourceB, Target>,
              PlainTile<kTileM, kTileN, kWidth>::kBytes, PlainPlan<kTileM, kTileN>(shape).grid,
              kTileM, kTileN, shape, a, b, target);
}

inline bool takes_small_tiles(const ProductShape& shape) {
  return shape.m <= kSmallPlainTile || shape.n <= kSmallPlainTile || !enough_tiles(shape, 64, 64);
}
// A multiprocessor reads as much for a multiplication of either of them from shared memory, which
// takes it most of the time. So a few small tiles take four times as long as smallest ones on four
// times as many multiprocessors, or a quarter as many slices.
inline bool takes_smallest_tiles(const ProductShape& shape) {
  return shape.k < kShortestCutOfSmallest && takes_small_tiles(shape) &&
         !enough_tiles(shape, kSmallPlainTile, kSmallPlainTile, kEnoughTiles / 2);
}

// Larger tiles need fewer loads for each product, but the last round of few large tiles leaves most
// multiprocessors idle: of 196 tiles of 128 x 128, say, 132 run at once and then 64, and twice as
// many of 128 x 64 take three rounds of half the time. So the size is taken with which the
// multiprocessor that has most to do has least.
template <int kWidth, typename SourceA, typename SourceB, typename Target>
void plain_product_of(const char* name, const ProductShape& shape, const SourceA& a,
                      const SourceB& b, const Target& target) {
  if (takes_smallest_tiles(shape))
    return plain_product_by<kSmallestPlainTile, kSmallestPlainTile, kWidth>(name, shape, a, b,
                                                                            target);
  const int64_t small = PlainPlan<kSmallPlainTile, kSmallPlainTile>(shape).time,
                medium = PlainPlan<64, 64>(shape).time, large = PlainPlan<128, 64>(shape).time,
                larger = PlainPlan<128, 128>(shape).time,
                largest = kWidth == 4 ? PlainPlan<128, 256>(shape).time : larger + 1,
                least = std::min({small, medium, large, larger, largest});
  if constexpr (kWidth == 4)
    if (least == largest) return plain_product_by<128, 256, kWidth>(name, shape, a, b, target);
  if (least == larger) return plain_product_by<128, 128, kWidth>(name, shape, a, b, target);
  if (least == large) return plain_product_by<128, 64, kWidth>(name, shape, a, b, target);
  if (least == medium) return plain_product_by<64, 64, kWidth>(name, shape, a, b, target);
  plain_product_by<kSmallPlainTile, kSmallPlainTile, kWidth>(name, shape, a, b, target);
}

template <typename SourceA, typename SourceB, typename Target>
void plain_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                   const Target& target) {
  if (a.is_in_fours(shape.k) && b.is_in_fours(shape.k))
    plain_product_of<4>(name, shape, a, b, target);
  else
    plain_product_of<1>(name, shape, a, b, target);
}

}  // namespace neurona
