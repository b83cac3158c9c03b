// How the blocks of packed_product.cuh divide the tiles of D among themselves, alone or as clusters
// of two, and what blocks of a cluster load for each other.
#pragma once

#include <algorithm>

#include "cuda/precision.h"
#include "cuda/product/packed_store.cuh"
#include "cuda/ptx/cluster.cuh"
#include "cuda/ptx/tensor_load.cuh"

namespace neurona {

// A cluster's blocks take tiles of D that lie below each other: tiles_m is a multiple of them.
struct PackedGrid : ProductGrid {
  int cluster_blocks;
  ProductGrid of_clusters;  // the same where all tiles of a cluster count as one
  unsigned clusters;        // of the whole grid, slices and batches included: 31 bits
};

struct ClusterPlace {
  int rank, blocks;

  __device__ unsigned all() const { return (1u << blocks) - 1; }  // a set of ranks
};

// The tiles of D that a block takes, one after the other. The blocks of a cluster go through theirs
// in step.
class TilesOfBlock {
 public:
  __device__ explicit TilesOfBlock(const PackedGrid& grid)
      : grid_(grid),
        rank_(grid.cluster_blocks > 1 ? static_cast<int>(cluster_rank()) : 0),
        number_(blockIdx.x / grid.cluster_blocks) {}

  __device__ bool has_one() const { return number_ < grid_.clusters; }
  __device__ void advance() { number_ += gridDim.x / grid_.cluster_blocks; }
  __device__ ClusterPlace cluster() const { return {rank_, grid_.cluster_blocks}; }
  __device__ BlockPlace place() const {
    BlockPlace place = place_of(grid_.of_clusters, number_);
    place.tile_m = place.tile_m * grid_.cluster_blocks + rank_;
    return place;
  }

 private:
  const PackedGrid& grid_;
  int rank_;
  unsigned number_;
};

// Of the columns of B that a cluster of one or two needs, those that one block loads for all.
template <int kColumns>
__host__ __device__ constexpr int own_columns(int cluster_blocks) {
  return cluster_blocks == 1 ? kColumns : kColumns / 2;
}

// Columns of B whose elements follow each other along the depth, to all blocks of the cluster: each
// loads own_columns, so many as a tile of the map has.
template <int kColumns>
__device__ inline void load_columns(const ClusterPlace& cluster, const TensorMap& map,
                                    Barrier& full, unsigned char* columns, int depth, int line,
                                    int batch) {
  if (cluster.blocks == 1) return load_tile(map, full, columns, depth, line, batch);
  const int first = own_columns<kColumns>(cluster.blocks) * cluster.rank;
  load_tile_for(cluster.all(), map, full, columns + first * kTileLineBytes, depth, line + first,
                batch);
}

// Of the whole cluster, or of a block that is alone.
__device__ inline void wait_for_cluster(const PackedGrid& grid) {
  if (grid.cluster_blocks > 1)
    cluster_barrier();
  else
    __syncthreads();
}

// Whether tiles are taken by clusters of two. With an odd number of rows of tiles the last of them
// has a neighbour that multiplies nothing: one in 16 at most. 64 columns are a third of a stage,
// and two of their blocks share a multiprocessor already.
inline bool forms_clusters(int64_t tiles_m, int columns) {
  constexpr int64_t kManyRows = 15;
  return clusters_are_wanted() && columns > 64 && (tiles_m % 2 == 0 || tiles_m >= kManyRows);
}

// A product of few tiles is cut into as many slices as the blocks that run at once can take
// together: one more, and all would wait for those that come second. Slices are whole steps, 256
// elements of k or more.
inline PackedGrid packed_grid(const ProductShape& shape, int columns, int64_t blocks_at_once,
                              int64_t step) {
  constexpr int64_t kShortestSlice = 256;
  const int64_t tiles_m = divide_up(shape.m, kPackedRows);
  const int blocks = forms_clusters(tiles_m, columns) ? 2 : 1;
  PackedGrid grid{{divide_up(tiles_m, blocks) * blocks, divide_up(shape.n, columns), 1, shape.k},
                  blocks,
                  {},
                  0};
  const int64_t tiles = grid.tiles_m * grid.tiles_n * shape.batches;
  const int64_t wanted = std::min(blocks_at_once / tiles, shape.k / kShortestSlice);
  if (wanted > 1) {
    grid.slice_length = divide_up(divide_up(shape.k, wanted), step) * step;
    grid.slices = divide_up(shape.k, grid.slice_length);
  }
  grid.of_clusters = grid;
  grid.of_clusters.tiles_m /= blocks;
  grid.clusters = static_cast<unsigned>(tiles * grid.slices / blocks);
  return grid;
}

// The columns of D's tiles: 64 where there are no more. A tile of 256 takes a multiprocessor as
// long as two of 128, which need a third more loads; on H100s such tiles were seen to reach 700 and
// 525 Tflop/s. So 256 are taken unless, in the last round, they leave so many multiprocessors idle
// that all takes over 5 / 4 as long.
inline int tile_columns(const ProductShape& shape) {
  constexpr int kNarrow = 64, kMiddle = 128, kWide = 256;
  if (shape.n <= kNarrow) return kNarrow;
  const auto rounds = [&](int columns) {
    const int64_t tiles =
        divide_up(shape.m, kPackedRows) * divide_up(shape.n, columns) * shape.batches;
    return divide_up(tiles, kEnoughTiles);
  };
  return shape.n > kMiddle && 2 * rounds(kWide) * 4 <= rounds(kMiddle) * 5 ? kWide : kMiddle;
}

}  // namespace neurona
