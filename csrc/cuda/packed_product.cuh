// The rounded product on the tensor cores of sm_90: operands are packed (pack.cuh), the copy engine
// brings tiles of them to shared memory, and wgmma multiplies them there. The same targets, grid
// and slices as in product.cuh, sums in float32.
//
// A block stays on its multiprocessor and takes one tile of D after the other. It has three
// warpgroups: of the first, one thread orders tiles of A and B, kRingStages steps along k ahead;
// each of the other two multiplies 64 rows. A stage of shared memory passes to and fro by two
// barriers: `full` ends a phase when the stage's bytes have come, `empty` when the 8 multiplying
// warps have read them. The loads of the next tile of D are on their way while the sums of this one
// are stored.
#pragma once

#include <algorithm>

#include "cuda/capability.h"
#include "cuda/pack.cuh"
#include "cuda/precision.h"
#include "cuda/ptx/tensor_load.cuh"
#include "cuda/ptx/wgmma.cuh"

namespace neurona {

constexpr int kPackedRows = 128;  // of a tile of D; it has 128 or 256 columns
constexpr int kRowsOfGroup = 64, kMultiplyingGroups = kPackedRows / kRowsOfGroup;
constexpr int kGroupThreads = 128;
constexpr int kPackedThreads = (1 + kMultiplyingGroups) * kGroupThreads;
constexpr int kRingStages = 4;
constexpr int kTileAlignment = 1024;

// Of 65536 registers: enough to order tiles, and for 128 sums and where they go.
constexpr int kLoadingRegisters = 40, kMultiplyingRegisters = 232;

template <typename Number>
constexpr int kStageDepth = kTileLineBytes / static_cast<int>(sizeof(typename Number::Element));
template <int kColumns>
constexpr int kStageBytes = (kPackedRows + kColumns) * kTileLineBytes;
template <int kColumns>
constexpr size_t kRingBytes = kRingStages * kStageBytes<kColumns> + kTileAlignment;

struct Ring {
  unsigned char* memory;
  Barrier *full, *empty;
};

// A stage, and the parity of the phase in which it is used.
struct StageTurn {
  int stage = 0;
  unsigned parity = 0;

  __device__ void advance() {
    if (++stage < kRingStages) return;
    stage = 0;
    parity ^= 1;
  }
};

// The part of k that belongs to a slice.
template <typename Number>
struct Slice {
  int64_t first;
  int steps;

  __device__ Slice(const ProductShape& shape, const ProductGrid& grid, int64_t slice)
      : first(slice * grid.slice_length) {
    const int64_t length = min(grid.slice_length, shape.k - first);
    steps = static_cast<int>((length + kStageDepth<Number> - 1) / kStageDepth<Number>);
  }
};

__device__ inline int64_t number_of_tiles(const ProductShape& shape, const ProductGrid& grid) {
  return grid.tiles_m * grid.tiles_n * grid.slices * shape.batches;
}

// One thread.
template <typename Number, int kColumns>
__device__ inline void order_tiles(const ProductShape& shape, const ProductGrid& grid,
                                   const TensorMap& map_a, const TensorMap& map_b,
                                   const Ring& ring) {
  StageTurn turn;
  for (int64_t tile = blockIdx.x; tile < number_of_tiles(shape, grid); tile += gridDim.x) {
    const BlockPlace place = place_of(grid, static_cast<unsigned>(tile));
    const Slice<Number> slice(shape, grid, place.slice);
    const int line_a = static_cast<int>(place.tile_m) * kPackedRows,
              line_b = static_cast<int>(place.tile_n) * kColumns,
              batch = static_cast<int>(place.batch);
    for (int step = 0; step < slice.steps; ++step, turn.advance()) {
      Barrier& full = ring.full[turn.stage];
      unsigned char* stage = ring.memory + turn.stage * kStageBytes<kColumns>;
      const int k = static_cast<int>(slice.first) + step * kStageDepth<Number>;
      wait(ring.empty[turn.stage], turn.parity ^ 1);
      arrive_expecting(full, kStageBytes<kColumns>);
      load_tile(map_a, full, stage, k, line_a, batch);
      load_tile(map_b, full, stage + kPackedRows * kTileLineBytes, k, line_b, batch);
    }
  }
}

// The sums of one slice. The products of a step run while those of the next are begun; then the
// stage of the former is empty.
template <typename Number, int kColumns>
__device__ inline void multiply_slice(const Slice<Number>& slice, int group, const Ring& ring,
                                      StageTurn& turn, WarpgroupSums<kColumns>& sums) {
  constexpr int kProducts = kTileLineBytes / 32;
  const bool speaks = threadIdx.x % kWarpSize == 0;
  int previous = 0;
  for (int step = 0; step < slice.steps; ++step, turn.advance()) {
    wait(ring.full[turn.stage], turn.parity);
    const unsigned char* stage = ring.memory + turn.stage * kStageBytes<kColumns>;
    const uint64_t a = tile_descriptor(stage + group * kRowsOfGroup * kTileLineBytes),
                   b = tile_descriptor(stage + kPackedRows * kTileLineBytes);
    begin_products();
    NEURONA_UNROLL
    for (int i = 0; i < kProducts; ++i)
      multiply_tiles(Number{}, sums, a + i * kNextProduct, b + i * kNextProduct, step + i > 0);
    commit_products();
    wait_for_products<1>(sums);
    if (speaks && step > 0) arrive(ring.empty[previous]);
    previous = turn.stage;
  }
  wait_for_products<0>(sums);
  if (speaks) arrive(ring.empty[previous]);
}

template <int kColumns, typename Target>
__device__ inline void store_sums(const ProductShape& shape, const ProductGrid& grid,
                                  const BlockPlace& place, int group,
                                  const ProductOutput<Target>& output,
                                  const WarpgroupSums<kColumns>& sums) {
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x % kGroupThreads / kWarpSize;
  const int64_t row = place.tile_m * kPackedRows + group * kRowsOfGroup + 16 * warp + lane / 4;
  const int64_t column = place.tile_n * kColumns + 2 * (lane % 4);
  // A thread's sums of 8 columns: two rows of two.
  constexpr int kRuns = 4;
  NEURONA_UNROLL
  for (int first = 0; first < kColumns / 8; first += kRuns)
    output.template store<2, 2, kRuns>(
        place, grid, shape, [&](int i) { return row + 8 * i; },
        [&](int j) { return column + 8 * (first + j); },
        [&](int i, int j) {
          const float (&four)[4] = sums[first + j];
          return Run<2>{{four[2 * i], four[2 * i + 1]}};
        });
}

// Compiled for sm_90a alone; on other devices nobody launches it.
template <typename Number, int kColumns, typename Target>
__global__ void __launch_bounds__(kPackedThreads, 1)
    packed_product_kernel(ProductShape shape, ProductGrid grid,
                          const __grid_constant__ TensorMap map_a,
                          const __grid_constant__ TensorMap map_b, ProductOutput<Target> output) {
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  NEURONA_DYNAMIC_SHARED(unsigned char, memory);
  NEURONA_SHARED(Barrier, full, [kRingStages]);
  NEURONA_SHARED(Barrier, empty, [kRingStages]);
  const unsigned beyond = shared_address(memory) % kTileAlignment;
  const Ring ring{memory + (beyond ? kTileAlignment - beyond : 0), full, empty};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kRingStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], kMultiplyingGroups * kGroupThreads / kWarpSize);
    }
    publish_barriers();
  }
  __syncthreads();
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads - 1;
  if (group < 0) {
    release_registers<kLoadingRegisters>();
    if (threadIdx.x == 0) order_tiles<Number, kColumns>(shape, grid, map_a, map_b, ring);
  } else {
    acquire_registers<kMultiplyingRegisters>();
    StageTurn turn;
    for (int64_t tile = blockIdx.x; tile < number_of_tiles(shape, grid); tile += gridDim.x) {
      const BlockPlace place = place_of(grid, static_cast<unsigned>(tile));
      WarpgroupSums<kColumns> sums;
      multiply_slice<Number, kColumns>(Slice<Number>(shape, grid, place.slice), group, ring, turn,
                                       sums);
      store_sums<kColumns>(shape, grid, place, group, output, sums);
    }
  }
#endif
}

template <typename Number, int kColumns, typename Target>
void run_packed(const char* name, const ProductShape& shape, const PackedOperand<Number>& a,
                const PackedOperand<Number>& b, const Target& target) {
  ProductGrid grid = product_grid(shape, kPackedRows, kColumns);
  if (grid.slices > 1) {  // whole steps
    constexpr int64_t kStep = kStageDepth<Number>;
    grid.slice_length = divide_up(grid.slice_length, kStep) * kStep;
    grid.slices = divide_up(shape.k, grid.slice_length);
  }
  const int64_t elements = shape.batches * shape.m * shape.n,
                tiles = grid.tiles_m * grid.tiles_n * grid.slices * shape.batches;
  const Workspace parts(
      grid.slices == 1 ? 0 : static_cast<size_t>(grid.slices * elements) * sizeof(float));
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(tiles, multiprocessors()));
  launch(name, packed_product_kernel<Number, kColumns, Target>,
         Launch{dim3(blocks), dim3(kPackedThreads), kRingBytes<kColumns>}, shape, grid,
         a.map(kPackedRows), b.map(kColumns), ProductOutput<Target>{target, parts.as<float>()});
  if (grid.slices > 1)
    launch(name, add_slices_kernel<Target>, over_elements(divide_up(elements, 4)), shape,
           grid.slices, parts.as<const float>(), target);
}

// Tiles of 256 columns need three quarters of the loads; they are taken where there are enough.
template <typename Number, typename SourceA, typename SourceB, typename Target>
void packed_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  constexpr int kNarrow = 128, kWide = 256;
  const PackedOperand<Number> left(name, a, shape.m, shape.k, shape.batches),
      right(name, b, shape.n, shape.k, shape.batches);
  if (shape.n > kNarrow && enough_tiles(shape, kPackedRows, kWide))
    run_packed<Number, kWide>(name, shape, left, right, target);
  else
    run_packed<Number, kNarrow>(name, shape, left, right, target);
}

// Whether the device has the instructions and packing pays: it reads and writes the operands once
// more. From what size on is to be measured; these are guesses.
inline bool packs(const ProductShape& shape) {
  constexpr int64_t kLeastLines = 256, kLeastDepth = 256, kMost = int64_t{1} << 31;
  const int64_t shortest = std::min(shape.m, shape.n), longest = std::max(shape.m, shape.n);
  if (packing() == Packing::kNever || device_capability() / 10 != 9) return false;
  if (shape.k == 0 || std::max({longest, shape.k, shape.batches}) >= kMost) return false;
  return packing() == Packing::kAlways || (shortest >= kLeastLines && shape.k >= kLeastDepth);
}

}  // namespace neurona
