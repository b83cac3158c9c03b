// The product of product.cuh on tensor cores: the same sources, targets and grid, elements rounded
// to TF32 or bfloat16 when a warp reads them from shared memory, sums in float32.
//
// 8 warps share a tile, 2 along m and 4 along n. Parts of both operands come by cp.async, kStages
// of them in turn: while one is multiplied the next two are under way, and one barrier per part
// says both that a part has come for all threads and that the one before it has been read by all.
// Where both operands' memory allows it, 4 elements come with one copy. Where it does not, tiles
// are small: of a large one a thread would copy single elements of 8 lines, more than it has
// registers for.
#pragma once

#include "cuda/product/product.cuh"
#include "cuda/product/tensor_parts.cuh"
#include "cuda/ptx/mma.cuh"

namespace neurona {

constexpr int kSmallTile = 64, kLargeTile = 128;
constexpr int kWarpsM = 2, kWarpsN = 4;
// 3 parts of 128 lines, twice, are 48 KiB: each GPU since sm_80 has shared memory for two such
// blocks.
constexpr int kStages = 3;

// The sums of a warp: kRows x kColumns of them, by mma.sync of 16 x 8.
template <typename Number, int kTile>
struct WarpSums {
  static constexpr int kRows = kTile / kWarpsM, kColumns = kTile / kWarpsN;
  static constexpr int kDown = kRows / 16, kAcross = kColumns / 8;
  Run<4> at[kDown][kAcross] = {};

  __device__ static int row() { return threadIdx.x / kWarpSize / kWarpsN * kRows; }
  __device__ static int column() { return threadIdx.x / kWarpSize % kWarpsN * kColumns; }

  template <bool kDepthIsContiguousA, bool kDepthIsContiguousB>
  __device__ void add(const float* part_a, const float* part_b) {
    NEURONA_UNROLL
    for (int depth = 0; depth < kDepth; depth += 8 * Number::kPerWord) {
      uint32_t right[kAcross][2];
      NEURONA_UNROLL
      for (int j = 0; j < kAcross; j += 2) {  // 16 columns are those of two
        uint32_t both[4];
        load_fragment<Number, kTile, kDepthIsContiguousB>(part_b, column(), 8 * j, depth, both);
        NEURONA_UNROLL
        for (int i = 0; i < 4; ++i) right[j + i % 2][i / 2] = both[i];
      }
      NEURONA_UNROLL
      for (int i = 0; i < kDown; ++i) {
        uint32_t left[4];
        load_fragment<Number, kTile, kDepthIsContiguousA>(part_a, row(), 16 * i, depth, left);
        NEURONA_UNROLL
        for (int j = 0; j < kAcross; ++j) multiply_add(Number{}, at[i][j].at, left, right[j]);
      }
    }
  }

  // Of 16 x 8 sums a thread has two rows of two.
  template <typename Target>
  __device__ void store(const Target& target, const BlockPlace& place,
                        const ProductShape& shape) const {
    const int g = threadIdx.x % kWarpSize / 4, t = threadIdx.x % 4;
    const int64_t first_m = int64_t{place.tile_m} * kTile + row() + g,
                  first_n = int64_t{place.tile_n} * kTile + column() + 2 * t;
    store_runs<2, 2 * kDown, kAcross>(
        target, place.batch, shape, [&](int i) { return first_m + 8 * i; },
        [&](int j) { return first_n + 8 * j; },
        [&](int i, int j) {
          const float (&sums)[4] = at[i / 2][j].at;
          return Run<2>{{sums[i % 2 * 2], sums[i % 2 * 2 + 1]}};
        });
  }
};

// A part of each operand, where copies of 16 bytes may begin.
template <int kTile>
struct alignas(16) Parts {
  float a[kTile * kDepth], b[kTile * kDepth];
};

// A multiprocessor has registers for two blocks, but not of large tiles whose words hold two
// elements, for which a warp reads twice as many at once.
template <int kTile, typename Number>
constexpr int kTensorBlocksAtOnce = Number::kPerWord == 1 || kTile == kSmallTile ? 2 : 1;

template <int kTile, int kWidth, typename Number, typename SourceA, typename SourceB,
          typename Target>
__global__ void __launch_bounds__(kProductThreads, kTensorBlocksAtOnce<kTile, Number>)
    tensor_product_kernel(ProductShape shape, ProductGrid grid, SourceA a, SourceB b,
                          ProductOutput<Target> output) {
  wait_for_earlier_kernels();
  NEURONA_SHARED(Parts<kTile>, parts, [kStages]);

  const BlockPlace place = block_place(grid);
  const int64_t first_m = int64_t{place.tile_m} * kTile, first_n = int64_t{place.tile_n} * kTile;
  const SliceParts<kDepth> slice(shape, grid, place.slice);

  PartCopier<kTile, kDepth, kWidth, TensorLayout, SourceA> copier_a(a, place.batch, first_m,
                                                                    slice.first_k);
  PartCopier<kTile, kDepth, kWidth, TensorLayout, SourceB> copier_b(b, place.batch, first_n,
                                                                    slice.first_k);
  if (slice.count > 0) {
    copier_a.begin_first(slice.first_depths, parts[0].a);
    copier_b.begin_first(slice.first_depths, parts[0].b);
  }
  commit_copies();
  const auto begin_next = [&](unsigned number, int stage) {
    if (number < slice.count) {
      copier_a.begin_next(parts[stage].a);
      copier_b.begin_next(parts[stage].b);
    }
    commit_copies();  // beyond the end a group of nothing, so that waits count it alike
  };
  for (int stage = 1; stage < kStages - 1; ++stage) begin_next(stage, stage);

  using Sums = WarpSums<Number, kTile>;
  Sums sums;
  int stage = 0;
  for (unsigned part = 0; part < slice.count; ++part) {
    wait_for_copies<kStages - 2>();
    __syncthreads();
    begin_next(part + kStages - 1, stage == 0 ? kStages - 1 : stage - 1);
    sums.template add<SourceA::kDepthIsContiguous, SourceB::kDepthIsContiguous>(parts[stage].a,
                                                                                parts[stage].b);
    stage = stage == kStages - 1 ? 0 : stage + 1;
  }

  constexpr int kFours = Sums::kDown * Sums::kAcross;
  if constexpr (kTile == kSmallTile)  // of larger tiles there are enough
    if (output.parts && !add_slices<kFours>(output.parts, place, grid, output.counters, parts[0].a,
                                            [&](int i) -> Run<4>& {
                                              return sums.at[i / Sums::kAcross][i % Sums::kAcross];
                                            }))
      return;
  sums.store(output.target, place, shape);
}

template <int kTile, int kWidth, typename Number, typename SourceA, typename SourceB,
          typename Target>
void tensor_product_by(const char* name, const ProductShape& shape, const SourceA& a,
                       const SourceB& b, const Target& target) {
  run_product(name, tensor_product_kernel<kTile, kWidth, Number, SourceA, SourceB, Target>, 0,
              product_grid(shape, kTile, kTile), kTile, kTile, shape, a, b, target);
}

template <typename Number, typename SourceA, typename SourceB, typename Target>
void tensor_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  if (!a.is_in_fours(shape.k) || !b.is_in_fours(shape.k))
    return tensor_product_by<kSmallTile, 1, Number>(name, shape, a, b, target);
  if (std::min(shape.m, shape.n) > kSmallTile && enough_tiles(shape, kLargeTile, kLargeTile))
    return tensor_product_by<kLargeTile, 4, Number>(name, shape, a, b, target);
  tensor_product_by<kSmallTile, 4, Number>(name, shape, a, b, target);
}

}  // namespace neurona
