// How the sums of packed_product.cuh leave the registers of a warpgroup.
#pragma once

#include "cuda/product/slices.cuh"
#include "cuda/ptx/wgmma.cuh"

namespace neurona {

constexpr int kPackedRows = 128;  // of a tile of D; it has 64, 128 or 256 columns
constexpr int kRowsOfGroup = 64, kMultiplyingGroups = kPackedRows / kRowsOfGroup;
constexpr int kGroupThreads = 128;

// Where the sums go: to the target, or of a product that is cut along k to parts, whole tiles of
// them, (batch, tile_m, tile_n, slice), until add_parts_kernel adds them.
template <typename Target>
struct PackedOutput {
  Target target;
  float* parts;  // null unless cut
};

__host__ __device__ inline int64_t part_of(const ProductGrid& grid, int64_t batch, int64_t tile_m,
                                           int64_t tile_n, int64_t slice) {
  return ((batch * grid.tiles_m + tile_m) * grid.tiles_n + tile_n) * grid.slices + slice;
}

// A thread's sums of 8 columns are two rows of two: row and row + 8, from column on. All are there,
// or only those before the matrix ends.
template <int kColumns, typename Target>
__device__ inline void store_whole(const Target& target, int64_t batch, int64_t row, int64_t column,
                                   const WarpgroupSums<kColumns>& sums) {
  const typename Target::Row rows[2] = {target.row(batch, row), target.row(batch, row + 8)};
  NEURONA_UNROLL
  for (int j = 0; j < kColumns / 8; ++j) {
    const auto columns = target.template columns<2>(batch, column + 8 * j, 2);
    NEURONA_UNROLL
    for (int i = 0; i < 2; ++i)
      target.store_together(rows[i], columns, Run<2>{{sums[j][2 * i], sums[j][2 * i + 1]}});
  }
}
template <int kColumns, typename Target>
__device__ inline void store_inside(const Target& target, const ProductShape& shape, int64_t batch,
                                    int64_t row, int64_t column,
                                    const WarpgroupSums<kColumns>& sums) {
  const typename Target::Row rows[2] = {target.row(batch, row), target.row(batch, row + 8)};
  NEURONA_UNROLL
  for (int j = 0; j < kColumns / 8; ++j) {
    const int64_t n = column + 8 * j;
    const auto columns = target.template columns<2>(batch, n, columns_inside<2>(n, shape.n));
    NEURONA_UNROLL
    for (int i = 0; i < 2; ++i)
      if (row + 8 * i < shape.m)
        target.store(rows[i], columns, Run<2>{{sums[j][2 * i], sums[j][2 * i + 1]}});
  }
}

// A thread has so many sums that what is asked for each of them counts: most tiles are whole, and
// most targets need little, so that each of these cases is a piece of code of its own.
template <int kColumns, typename Target>
__device__ inline void store_sums(const ProductShape& shape, const ProductGrid& grid,
                                  const BlockPlace& place, int group,
                                  const PackedOutput<Target>& output,
                                  const WarpgroupSums<kColumns>& sums) {
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x % kGroupThreads / kWarpSize;
  const int row_of_tile = group * kRowsOfGroup + 16 * warp + lane / 4,
            column_of_tile = 2 * (lane % 4);
  const Target& target = output.target;
  if (output.parts) {
    const int64_t part = part_of(grid, place.batch, place.tile_m, place.tile_n, place.slice);
    const RowTarget rows{output.parts + part * kPackedRows * kColumns, kColumns, 0, {}};
    return store_whole<kColumns>(PlainRows{rows}, 0, row_of_tile, column_of_tile, sums);
  }
  const int64_t row = int64_t{place.tile_m} * kPackedRows + row_of_tile,
                column = int64_t{place.tile_n} * kColumns + column_of_tile;
  const bool is_whole = int64_t{place.tile_m + 1} * kPackedRows <= shape.m &&
                        int64_t{place.tile_n + 1} * kColumns <= shape.n;
  if (is_whole && target.template stores_together<2>() &&
      target.specialised([&](const auto& special) {
        store_whole<kColumns>(special, place.batch, row, column, sums);
      }))
    return;
  store_inside<kColumns>(target, shape, place.batch, row, column, sums);
}

// The sum of the slices, in their order.
template <int kColumns, typename Target>
__global__ void add_parts_kernel(ProductShape shape, ProductGrid grid,
                                 PackedOutput<Target> output) {
  wait_for_earlier_kernels();
  constexpr int kRun = 4;
  const int64_t runs = (shape.n + kRun - 1) / kRun;
  for (int64_t i = first_element(); i < shape.batches * shape.m * runs; i += element_stride()) {
    const int64_t line = i / runs, n = i % runs * kRun, batch = line / shape.m, m = line % shape.m;
    const int64_t place = m % kPackedRows * kColumns + n % kColumns;
    Run<kRun> total{};
    for (int64_t slice = 0; slice < grid.slices; ++slice) {
      const int64_t part = part_of(grid, batch, m / kPackedRows, n / kColumns, slice);
      add_part(
          total,
          *reinterpret_cast<const float4*>(output.parts + part * kPackedRows * kColumns + place),
          slice == 0);
    }
    store_run(output.target, output.target.row(batch, m), batch, n, shape.n, total);
  }
}

}  // namespace neurona
