// How a product's sums leave a kernel: runs of them go to the target, when the slices of a product
// that is cut along k have been added.
#pragma once

#include "cuda/device.h"
#include "cuda/common/last_block.cuh"
#include "cuda/product/epilogue.cuh"
#include "cuda/product/product_grid.cuh"

namespace neurona {

// How many of kRun columns from n on lie before `end`.
template <int kRun>
__device__ inline int columns_inside(int64_t n, int64_t end) {
  return n >= end ? 0 : static_cast<int>(min(end - n, int64_t{kRun}));
}

// Stores the sums of a row's columns from n on, before `end`.
template <int kRun, typename Target>
__device__ inline void store_run(const Target& target, const typename Target::Row& row,
                                 int64_t batch, int64_t n, int64_t end, const Run<kRun>& sums) {
  const int count = columns_inside<kRun>(n, end);
  const auto columns = target.template columns<kRun>(batch, n, count);
  if (count == kRun && target.template stores_together<kRun>())
    target.store_together(row, columns, sums);
  else
    target.store(row, columns, sums);
}

// Stores what a thread holds of a tile: kRows rows, row(i) in the matrix, of kRuns runs of kRun
// columns each, from column(j) on, both ascending; sums(i, j) is a Run. What can be asked once is:
// most tiles lie inside of the matrix, and their runs where one instruction may store them. What
// the columns have in common, `columns`, is held in registers meanwhile: callers with many runs
// give a few at a time.
template <int kRun, int kRows, int kRuns, typename Target, typename Row, typename Column,
          typename Sums>
__device__ inline void store_runs(const Target& target, int64_t batch, const ProductShape& shape,
                                  const typename Target::template Columns<kRun> (&columns)[kRuns],
                                  const Row& row, const Column& column, const Sums& sums) {
  if (target.template stores_together<kRun>() && row(kRows - 1) < shape.m &&
      column(kRuns - 1) + kRun <= shape.n) {
    NEURONA_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const auto place = target.row(batch, row(i));
      NEURONA_UNROLL
      for (int j = 0; j < kRuns; ++j) target.store_together(place, columns[j], sums(i, j));
    }
    return;
  }
  NEURONA_UNROLL
  for (int i = 0; i < kRows; ++i) {
    if (row(i) >= shape.m) continue;
    const auto place = target.row(batch, row(i));
    NEURONA_UNROLL
    for (int j = 0; j < kRuns; ++j) target.store(place, columns[j], sums(i, j));
  }
}

// What so many runs of columns have in common.
template <int kRun, int kRuns, typename Target, typename Column>
__device__ inline void ask_columns(const Target& target, int64_t batch, const ProductShape& shape,
                                   const Column& column,
                                   typename Target::template Columns<kRun> (&columns)[kRuns]) {
  NEURONA_UNROLL
  for (int j = 0; j < kRuns; ++j)
    columns[j] =
        target.template columns<kRun>(batch, column(j), columns_inside<kRun>(column(j), shape.n));
}

template <int kRun, int kRows, int kRuns, typename Target, typename Row, typename Column,
          typename Sums>
__device__ inline void store_runs(const Target& target, int64_t batch, const ProductShape& shape,
                                  const Row& row, const Column& column, const Sums& sums) {
  typename Target::template Columns<kRun> columns[kRuns];
  ask_columns<kRun>(target, batch, shape, column, columns);
  store_runs<kRun, kRows, kRuns>(target, batch, shape, columns, row, column, sums);
}

// A sum begins with its first part: to add it to 0 would make -0 another zero.
__device__ inline void add_part(Run<4>& sum, const float4& part, bool is_first) {
  sum.at[0] = is_first ? part.x : sum.at[0] + part.x;
  sum.at[1] = is_first ? part.y : sum.at[1] + part.y;
  sum.at[2] = is_first ? part.z : sum.at[2] + part.z;
  sum.at[3] = is_first ? part.w : sum.at[3] + part.w;
}

// Puts what the block has of a tile, kFours Runs of four sums in each thread (sums(i) by
// reference), to those of other slices. True in the block that is last: its sums are then those of
// all slices, added in their order, whoever came last. `parts` holds them as [tile][slice][four]
// [thread], so that neighbouring threads write neighbours; `counters` has one for each tile;
// `word` is shared memory that is free behind a barrier. A thread that has nothing of the tile says
// so.
template <int kFours, typename Sums>
__device__ inline bool add_slices(float* parts, const BlockPlace& place, const ProductGrid& grid,
                                  unsigned* counters, void* word, const Sums& sums,
                                  bool has_sums = true) {
  // 16 loads are under way at once: each batch of them costs the latency of L2.
  constexpr int kTogether = 16 / kFours;
  constexpr int64_t kPart = kFours * 4 * kProductThreads;
  const int64_t tile = (place.batch * grid.tiles_m + place.tile_m) * grid.tiles_n + place.tile_n;
  float* first = parts + tile * grid.slices * kPart + 4 * threadIdx.x;
  const auto four_of = [&](int64_t slice, int i) {
    return reinterpret_cast<float4*>(first + slice * kPart + i * 4 * kProductThreads);
  };
  if (has_sums) {
    NEURONA_UNROLL
    for (int i = 0; i < kFours; ++i)
      store_together(reinterpret_cast<float*>(four_of(place.slice, i)), sums(i));
  }
  if (!is_last_block(counters + tile, static_cast<unsigned>(grid.slices),
                     static_cast<unsigned*>(word)))
    return false;
  if (!has_sums) return true;
  for (int64_t slice = 0; slice < grid.slices; slice += kTogether) {
    float4 held[kTogether][kFours];
    NEURONA_UNROLL
    for (int i = 0; i < kTogether * kFours; ++i)
      if (slice + i / kFours < grid.slices)
        held[i / kFours][i % kFours] = __ldcg(four_of(slice + i / kFours, i % kFours));
    NEURONA_UNROLL
    for (int i = 0; i < kTogether * kFours; ++i)
      if (const int64_t now = slice + i / kFours; now < grid.slices)
        add_part(sums(i % kFours), held[i / kFours][i % kFours], now == 0);
  }
  return true;
}

static_assert(kEnoughTiles <= kBlockCounters);

// Where a product's sums go.
template <typename Target>
struct ProductOutput {
  Target target;
  float* parts;        // of add_slices(), null unless the product is cut
  unsigned* counters;  // block_counters(): fewer than kEnoughTiles tiles are cut
};

}  // namespace neurona
