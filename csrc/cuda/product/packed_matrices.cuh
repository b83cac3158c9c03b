// Rounded products of dense matrices on sm_90: both operands packed, tiles by packed_product.cuh.
#pragma once

#include <algorithm>

#include "cuda/precision.h"
#include "cuda/product/pack.cuh"
#include "cuda/product/packed_product.cuh"

namespace neurona {

// Tiles of two packed operands: a step is kStageDepth elements of lines along the depth.
template <typename NumberOfTiles>
struct MatrixTiles {
  using Number = NumberOfTiles;
  using Order = AlongDepth;
  TensorMap a, b;

  template <int kColumns>
  struct Cursor {
    int k, line_a, line_b, batch;

    __device__ Cursor(const MatrixTiles&, const BlockPlace& place, int step)
        : k(step * kStageDepth<Number>),
          line_a(place.tile_m * kPackedRows),
          line_b(place.tile_n * kColumns),
          batch(place.batch) {}
    __device__ void load(const MatrixTiles& tiles, const ClusterPlace& cluster, Barrier& full,
                         unsigned char* stage) const {
      load_tile(tiles.a, full, stage, k, line_a, batch);
      load_columns<kColumns>(cluster, tiles.b, full, stage + kPackedRows * kTileLineBytes, k,
                             line_b, batch);
    }
    __device__ void advance(const MatrixTiles&) { k += kStageDepth<Number>; }
  };
};

template <typename Number, typename SourceA, typename SourceB, typename Target>
void packed_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  const auto left = packed<Number>(name, a, shape.m, shape.k, shape.batches),
             right = packed<Number>(name, b, shape.n, shape.k, shape.batches);
  with_packed_grid<Number>(shape, [&](auto columns, const PackedGrid& grid) {
    const MatrixTiles<Number> tiles{left.map(kPackedRows),
                                    right.map(own_columns<columns>(grid.cluster_blocks))};
    run_packed<columns>(name, shape, grid, tiles, target);
  });
}

// Whether the device has the instructions, and was not told to do without.
inline bool can_pack() { return packing() != Packing::kNever && device_capability() / 10 == 9; }

// Whether packing pays: it reads and writes the operands once more. From what size on is to be
// measured; these are guesses.
inline bool packs(const ProductShape& shape) {
  constexpr int64_t kLeastLines = 256, kLeastDepth = 256, kMost = int64_t{1} << 31;
  const int64_t shortest = std::min(shape.m, shape.n), longest = std::max(shape.m, shape.n);
  if (!can_pack()) return false;
  if (shape.k == 0 || std::max({longest, shape.k, shape.batches}) >= kMost) return false;
  return packing() == Packing::kAlways || (shortest >= kLeastLines && shape.k >= kLeastDepth);
}

}  // namespace neurona
