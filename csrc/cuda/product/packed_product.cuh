// The rounded product on the tensor cores of sm_90: operands are packed (pack.cuh), the copy engine
// brings tiles of them to shared memory, and wgmma multiplies them there. The same targets as in
// product.cuh, sums in float32.
//
// A block stays on its multiprocessor and takes one tile of D after the other. It has three
// warpgroups: of the first, one thread orders tiles of A and B, as many steps along k ahead as the
// ring has stages; each of the other two multiplies 64 rows. A stage of shared memory passes to and
// fro by two barriers: `full` ends a phase when the stage's bytes have come, `empty` when the 8
// multiplying warps have read them. The loads of the next tile of D are on their way while the sums
// of this one are stored.
//
// Two blocks may be a cluster: their tiles of D lie below each other, and each brings half of the
// columns of B to both (packed_cluster.cuh). A multiprocessor then reads three quarters as much
// from L2 where D's tiles have 128 columns, two thirds where they have 256. A stage is empty when
// the warps of both have read it.
//
// Which tiles the steps need is the business of `Tiles` (packed_matrices.cuh, packed_patches.cuh):
//   using Number, using Order       what they hold, and how it lies in shared memory (wgmma.cuh)
//   template <int kColumns> using Cursor
//     Cursor(const Tiles&, const BlockPlace&, int step)     at a step along k of a tile of D
//     void load(const Tiles&, const ClusterPlace&, Barrier&, unsigned char* stage) const
//                     kPackedRows rows of A to the stage, behind them kColumns columns of B
//     void advance(const Tiles&)                            to the next step
#pragma once

#include <algorithm>
#include <type_traits>

#include "cuda/platform/capability.h"
#include "cuda/product/packed_cluster.cuh"
#include "cuda/product/packed_store.cuh"
#include "cuda/product/product.cuh"
#include "cuda/ptx/tensor_load.cuh"
#include "cuda/ptx/wgmma.cuh"

namespace neurona {

constexpr int kPackedThreads = (1 + kMultiplyingGroups) * kGroupThreads;
constexpr int kTileAlignment = 1024;

// While a block stores its sums, its tensor cores have nothing to do. Of tiles with 64 columns two
// blocks share a multiprocessor, so that one multiplies while the other stores; for more columns
// there are not registers enough.
template <int kColumns>
constexpr int kPackedBlocksAtOnce = kColumns <= 64 ? 2 : 1;
// What a thread has when a block begins: its part of 65536 registers, in steps of 8. The block's
// warpgroups exchange no more than these among themselves: one that asks for a register which the
// others did not give waits for ever.
template <int kColumns>
constexpr int kFirstRegisters = 65536 / (kPackedThreads * kPackedBlocksAtOnce<kColumns>) / 8 * 8;
// Enough to order tiles; and the rest for up to 32 or 128 sums and where they go.
template <int kColumns>
constexpr int kLoadingRegisters = kColumns <= 64 ? 48 : 40;
template <int kColumns>
constexpr int kMultiplyingRegisters = kColumns <= 64 ? 96 : 232;

// Elements of k in a step: of both operands 128 bytes of a line, or as many lines.
template <typename Number>
constexpr int kStageDepth = kTileLineBytes / static_cast<int>(sizeof(typename Number::Element));
template <int kColumns>
constexpr int kStageBytes = (kPackedRows + kColumns) * kTileLineBytes;
// Of the 227 KiB of shared memory 192 are rings: of one block 4 stages of 256 columns or 6 of 128,
// of two blocks 4 of 64 each. A step takes the tensor cores 256 to 1024 cycles, so that a
// multiprocessor's tiles are ordered 2000 to 4000 cycles ahead.
template <int kColumns>
constexpr int kRingStages = 192 * 1024 / kPackedBlocksAtOnce<kColumns> / kStageBytes<kColumns>;
template <int kColumns>
constexpr size_t kRingBytes = kRingStages<kColumns> * kStageBytes<kColumns> + kTileAlignment;

template <int kColumns>
struct Ring {
  unsigned char* memory;
  Barrier *full, *empty;

  __device__ unsigned char* stage(int number) const {
    return memory + number * kStageBytes<kColumns>;
  }
};

// A stage, and the parity of the phase in which it is used.
template <int kStages>
struct StageTurn {
  int stage = 0;
  unsigned parity = 0;

  __device__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

// The steps along k that belong to a slice.
template <typename Number>
struct SliceSteps {
  int first, count;

  __device__ SliceSteps(const ProductShape& shape, const ProductGrid& grid, int64_t slice) {
    const int64_t begin = slice * grid.slice_length;
    const int64_t length = min(grid.slice_length, shape.k - begin);
    first = static_cast<int>(begin / kStageDepth<Number>);
    count = static_cast<int>((length + kStageDepth<Number> - 1) / kStageDepth<Number>);
  }
};

// One thread.
template <int kColumns, typename Tiles>
__device__ inline void order_tiles(const ProductShape& shape, const PackedGrid& grid,
                                   const Tiles& tiles, const Ring<kColumns>& ring) {
  StageTurn<kRingStages<kColumns>> turn;
  for (TilesOfBlock own(grid); own.has_one(); own.advance()) {
    const BlockPlace place = own.place();
    const SliceSteps<typename Tiles::Number> steps(shape, grid, place.slice);
    typename Tiles::template Cursor<kColumns> cursor(tiles, place, steps.first);
    for (int step = 0; step < steps.count; ++step, turn.advance(), cursor.advance(tiles)) {
      wait(ring.empty[turn.stage], turn.parity ^ 1);
      arrive_expecting(ring.full[turn.stage], kStageBytes<kColumns>);
      cursor.load(tiles, own.cluster(), ring.full[turn.stage], ring.stage(turn.stage));
    }
  }
}

// One lane of a warp for each block of the cluster.
__device__ inline void leave_stage(Barrier& empty, const PackedGrid& grid) {
  const int lane = threadIdx.x % kWarpSize;
  if (lane < grid.cluster_blocks) arrive_at(empty, lane);
}

// The sums of one slice. The products of a step run while those of the next are begun; then the
// stage of the former is empty.
template <typename Tiles, int kColumns>
__device__ inline void multiply_slice(int steps, int group, const PackedGrid& grid,
                                      const Ring<kColumns>& ring,
                                      StageTurn<kRingStages<kColumns>>& turn,
                                      WarpgroupSums<kColumns>& sums) {
  using Order = typename Tiles::Order;
  constexpr int kProducts = kTileLineBytes / 32;
  // By a shuffle nvcc learns that a warp's threads agree, and computes addresses once for all.
  const int own_rows = __shfl_sync(kAllLanes, group, 0) * kRowsOfGroup;
  int previous = 0;
  for (int step = 0; step < steps; ++step, turn.advance()) {
    wait(ring.full[turn.stage], turn.parity);
    const unsigned char* stage = ring.stage(turn.stage);
    const uint64_t a = Order::descriptor(stage + own_rows * kTileLineBytes),
                   b = Order::descriptor(stage + kPackedRows * kTileLineBytes);
    begin_products();
    NEURONA_UNROLL
    for (int i = 0; i < kProducts; ++i)
      multiply_tiles(typename Tiles::Number{}, Order{}, sums, a + i * Order::kNextProduct,
                     b + i * Order::kNextProduct, step + i > 0);
    commit_products();
    wait_for_products<1>(sums);
    if (step > 0) leave_stage(ring.empty[previous], grid);
    previous = turn.stage;
  }
  wait_for_products<0>(sums);
  leave_stage(ring.empty[previous], grid);
}

// Compiled for sm_90a alone; on other devices nobody launches it.
template <int kColumns, typename Tiles, typename Target>
__global__ void __launch_bounds__(kPackedThreads, kPackedBlocksAtOnce<kColumns>)
    packed_product_kernel(ProductShape shape, PackedGrid grid, const __grid_constant__ Tiles tiles,
                          PackedOutput<Target> output) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  constexpr int kStages = kRingStages<kColumns>;
  static_assert(kLoadingRegisters<kColumns> +
                    kMultiplyingGroups * kMultiplyingRegisters<kColumns> ==
                (1 + kMultiplyingGroups) * kFirstRegisters<kColumns>);
  NEURONA_DYNAMIC_SHARED(unsigned char, memory);
  NEURONA_SHARED(Barrier, full, [kStages]);
  NEURONA_SHARED(Barrier, empty, [kStages]);
  const unsigned beyond = shared_address(memory) % kTileAlignment;
  const Ring<kColumns> ring{memory + (beyond ? kTileAlignment - beyond : 0), full, empty};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage],
                   kMultiplyingGroups * kGroupThreads / kWarpSize * grid.cluster_blocks);
    }
    publish_barriers();
  }
  wait_for_cluster(grid);
  wait_for_earlier_kernels();
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads - 1;
  if (group < 0) {
    release_registers<kLoadingRegisters<kColumns>>();
    if (threadIdx.x == 0) order_tiles(shape, grid, tiles, ring);
    __syncwarp();
  } else {
    acquire_registers<kMultiplyingRegisters<kColumns>>();
    StageTurn<kStages> turn;
    for (TilesOfBlock own(grid); own.has_one(); own.advance()) {
      const BlockPlace place = own.place();
      const SliceSteps<typename Tiles::Number> steps(shape, grid, place.slice);
      WarpgroupSums<kColumns> sums;
      multiply_slice<Tiles>(steps.count, group, grid, ring, turn, sums);
      store_sums<kColumns>(shape, grid, place, group, output, sums);
    }
  }
  // Until the other block's last stage is empty, arrivals there reach this one's memory.
  if (grid.cluster_blocks > 1) cluster_barrier();
#elif __CUDA_ARCH__ / 100 == 9
  // For sm_90 without its own features the kernel would be empty, and D what its memory held.
  __trap();
#endif
}

// Calls body with the number of columns of D's tiles as a constant, and with the grid of such
// tiles.
template <typename Number, typename Body>
void with_packed_grid(const ProductShape& shape, const Body& body) {
  const auto call = [&](auto columns) {
    constexpr int64_t kAtOnce = kEnoughTiles * kPackedBlocksAtOnce<columns>;
    body(columns, packed_grid(shape, columns, kAtOnce, kStageDepth<Number>));
  };
  switch (tile_columns(shape)) {
    case 64: return call(std::integral_constant<int, 64>{});
    case 128: return call(std::integral_constant<int, 128>{});
    default: return call(std::integral_constant<int, 256>{});
  }
}

template <int kColumns, typename Tiles, typename Target>
void run_packed(const char* name, const ProductShape& shape, const PackedGrid& grid,
                const Tiles& tiles, const Target& target) {
  const int64_t parts = grid.tiles_m * grid.tiles_n * grid.slices * shape.batches;
  const Workspace memory(
      grid.slices == 1 ? 0 : static_cast<size_t>(parts * kPackedRows * kColumns) * sizeof(float));
  const PackedOutput<Target> output{target, memory.as<float>()};
  const int64_t clusters =
      std::max<int64_t>(multiprocessors() * kPackedBlocksAtOnce<kColumns> / grid.cluster_blocks, 1);
  const auto blocks = static_cast<unsigned>(std::min(parts, clusters * grid.cluster_blocks));
  launch(name, packed_product_kernel<kColumns, Tiles, Target>,
         overlapping({dim3(blocks), dim3(kPackedThreads), kRingBytes<kColumns>,
                      static_cast<unsigned>(grid.cluster_blocks)}),
         shape, grid, tiles, output);
  if (grid.slices > 1)
    launch(name, add_parts_kernel<kColumns, Target>,
           overlapping(over_elements(divide_up(shape.batches * shape.m * shape.n, 4))), shape, grid,
           output);
}

}  // namespace neurona
