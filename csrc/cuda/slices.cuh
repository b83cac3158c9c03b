// How a product's sums leave a kernel: to the target, or, of a product that is cut along k, to
// where the parts wait to be added.
#pragma once

#include "cuda/device.h"
#include "cuda/epilogue.cuh"
#include "cuda/product_grid.cuh"

namespace neurona {

// How many of kRun columns from n on lie before `end`.
template <int kRun>
__device__ inline int columns_inside(int64_t n, int64_t end) {
  return n >= end ? 0 : static_cast<int>(min(end - n, int64_t{kRun}));
}

// Stores what a thread holds of a tile: kRows rows, row(i) in the matrix, of kRuns runs of kRun
// columns each, from column(j) on, both ascending; sums(i, j) is a Run. What can be asked once is:
// most tiles lie inside of the matrix, and their runs where one instruction may store them.
template <int kRun, int kRows, int kRuns, typename Target, typename Row, typename Column,
          typename Sums>
__device__ inline void store_runs(const Target& target, int64_t batch, const ProductShape& shape,
                                  const Row& row, const Column& column, const Sums& sums) {
  typename Target::Row rows[kRows];
  NEURONA_UNROLL
  for (int i = 0; i < kRows; ++i) rows[i] = target.row(batch, row(i));
  if (target.template stores_together<kRun>() && row(kRows - 1) < shape.m &&
      column(kRuns - 1) + kRun <= shape.n) {
    NEURONA_UNROLL
    for (int j = 0; j < kRuns; ++j) {
      const auto columns = target.template columns<kRun>(batch, column(j), kRun);
      NEURONA_UNROLL
      for (int i = 0; i < kRows; ++i) target.store_together(rows[i], columns, sums(i, j));
    }
    return;
  }
  NEURONA_UNROLL
  for (int j = 0; j < kRuns; ++j) {
    const int count = columns_inside<kRun>(column(j), shape.n);
    const auto columns = target.template columns<kRun>(batch, column(j), count);
    NEURONA_UNROLL
    for (int i = 0; i < kRows; ++i)
      if (row(i) < shape.m) target.store(rows[i], columns, sums(i, j));
  }
}

// The parts of a product that is cut along k are matrices of their own, (batch and slice, m, n).
template <typename Target>
struct ProductOutput {
  Target target;
  float* parts;  // null unless cut

  template <int kRun, int kRows, int kRuns, typename Row, typename Column, typename Sums>
  __device__ void store(const BlockPlace& place, const ProductGrid& grid, const ProductShape& shape,
                        const Row& row, const Column& column, const Sums& sums) const {
    if (!parts)
      return store_runs<kRun, kRows, kRuns>(target, place.batch, shape, row, column, sums);
    const int64_t part = place.batch * grid.slices + place.slice;
    const RowTarget rows{parts + part * shape.m * shape.n, shape.n, 0, {}};
    store_runs<kRun, kRows, kRuns>(rows, 0, shape, row, column, sums);
  }
};

template <typename Target>
__global__ void add_slices_kernel(ProductShape shape, int64_t slices, const float* sums,
                                  Target target) {
  constexpr int kRun = 4;
  const int64_t area = shape.m * shape.n, runs = (shape.n + kRun - 1) / kRun;
  for (int64_t i = first_element(); i < shape.batches * shape.m * runs; i += element_stride()) {
    const int64_t row = i / runs, n = i % runs * kRun, batch = row / shape.m, m = row % shape.m;
    const int count = columns_inside<kRun>(n, shape.n);
    const float* part = sums + batch * slices * area + m * shape.n + n;
    Run<kRun> total{};
    for (int64_t slice = 0; slice < slices; ++slice) {
      NEURONA_UNROLL
      for (int j = 0; j < kRun; ++j) {
        const float next = j < count ? part[slice * area + j] : 0.0f;
        total.at[j] = slice == 0 ? next : total.at[j] + next;
      }
    }
    target.store(target.row(batch, m), target.template columns<kRun>(batch, n, count), total);
  }
}

}  // namespace neurona
