// The product of product.cuh for a handful of columns, where tiles of 64 would be nine parts zero:
// a thread computes 8 columns of 4 rows, or 16 of 2. Its rows' elements come from where they lie;
// the columns' elements, and what steps along k have in common, lie in shared memory, which all
// threads of a group read at the same place. Each sum is one chain of fmaf() with k ascending;
// where there are too few rows to keep a GPU busy, up to 8 groups of threads take steps of their
// own, and their sums are added in the groups' order.
#pragma once

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cuda/product/patches.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/product/slices.cuh"

namespace neurona {

constexpr int kNarrowThreads = 256;
// Shared memory gives a multiprocessor 32 floats in the time of 128 multiplications: of the columns
// a thread reads 8 or 16 floats for so many. With 8 sums it would read as many for 8, and wait.
constexpr int kNarrowSums = 32;
// Of a multiprocessor: 128 registers for each thread.
constexpr int kNarrowBlocksAtOnce = 2;
// Steps that a block prepares at once for each group of threads, at most, and elements of a row
// that are under way at once.
constexpr int kNarrowDepth = 32, kNarrowLoads = 4;

struct alignas(16) NarrowStep {
  int words[4];

  template <typename Step>
  __device__ void put(const Step& step) {
    static_assert(sizeof(Step) <= sizeof words);
    memcpy(words, &step, sizeof step);
  }
  template <typename Step>
  __device__ Step as() const {
    const int4 all = *reinterpret_cast<const int4*>(words);  // one load
    Step step;
    memcpy(static_cast<void*>(&step), &all, sizeof step);
    return step;
  }
};

// How a block of threads shares a tile, and the shared memory that it takes.
template <int kGroupCount, int kColumnCount>
struct NarrowTile {
  static constexpr int kGroups = kGroupCount, kColumns = kColumnCount;
  static constexpr int kAcross = kNarrowThreads / kGroups;  // threads of a group
  static constexpr int kRowsOfThread = kNarrowSums / kColumns, kRows = kAcross * kRowsOfThread;
  static constexpr int kMostDepth = kGroups * kNarrowDepth;
  static_assert(kMostDepth <= kNarrowThreads);

  struct Prepared {
    NarrowStep steps[kMostDepth];
    alignas(16) float columns[kMostDepth][kColumns];
  };
  // Four columns of all rows. The next four lie as many rows further as a warp stores at once, so
  // that its lanes read from different banks.
  static constexpr int kRowsOfWarp = kWarpSize / kColumns;
  using FourColumns = float4[kRows + kRowsOfWarp];
  struct Sums {
    FourColumns of_groups[kGroups][kColumns / 4];
  };
  // First the ones, then the others.
  static constexpr size_t kSharedFours =
      (sizeof(Prepared) > sizeof(Sums) ? sizeof(Prepared) : sizeof(Sums)) / sizeof(float4);
};

struct NarrowGrid {
  unsigned tiles_m, tiles_n;
  int group_depth;  // steps that a block prepares for each group: a multiple of kNarrowLoads
};

// Adds what the groups have for each element of the tile, and stores it. On the way through shared
// memory neighbouring columns, of which a thread has several, come to threads side by side.
template <typename Tile, typename Target>
__device__ inline void store_narrow_tile(typename Tile::Sums& memory, const ProductShape& shape,
                                         int64_t batch, int64_t first_m, int64_t first_n,
                                         const Target& target,
                                         const float (&sums)[Tile::kRowsOfThread][Tile::kColumns]) {
  constexpr int kColumns = Tile::kColumns, kAcross = Tile::kAcross;
  const int group = threadIdx.x / kAcross, own_row = threadIdx.x % kAcross;
  __syncthreads();
  NEURONA_UNROLL
  for (int i = 0; i < Tile::kRowsOfThread; ++i) {
    NEURONA_UNROLL
    for (int j = 0; j < kColumns / 4; ++j) {
      const float* four = sums[i] + 4 * j;
      memory.of_groups[group][j][i * kAcross + own_row] =
          make_float4(four[0], four[1], four[2], four[3]);
    }
  }
  __syncthreads();
  const int column = threadIdx.x % kColumns;
  const int64_t n = first_n + column;
  if (n >= shape.n) return;
  const auto columns = target.template columns<1>(batch, n, 1);
  for (int row = threadIdx.x / kColumns; row < Tile::kRows && first_m + row < shape.m;
       row += kNarrowThreads / kColumns) {
    float sum = 0;
    NEURONA_UNROLL
    for (int i = 0; i < Tile::kGroups; ++i) {
      const float4& four = memory.of_groups[i][column / 4][row];
      const float part = reinterpret_cast<const float*>(&four)[column % 4];
      sum = i == 0 ? part : sum + part;
    }
    target.store(target.row(batch, first_m + row), columns, Run<1>{{sum}});
  }
}

// Steps are kWidth neighbours along k: 4 or 2 where they lie side by side.
template <typename Tile, int kWidth, typename SourceA, typename SourceB, typename Target>
__global__ void __launch_bounds__(kNarrowThreads, kNarrowBlocksAtOnce)
    narrow_product_kernel(ProductShape shape, NarrowGrid grid, SourceA a, SourceB b,
                          Target target) {
  wait_for_earlier_kernels();
  constexpr int kColumns = Tile::kColumns, kAcross = Tile::kAcross;
  NEURONA_SHARED(float4, memory, [Tile::kSharedFours]);
  auto& [steps, columns] = *reinterpret_cast<typename Tile::Prepared*>(memory);
  const unsigned outer = blockIdx.x / grid.tiles_m;
  const int64_t batch = outer / grid.tiles_n, first_n = int64_t{outer % grid.tiles_n} * kColumns,
                first_m = int64_t{blockIdx.x % grid.tiles_m} * Tile::kRows;
  typename SourceA::Line lines[Tile::kRowsOfThread];
  NEURONA_UNROLL
  for (int i = 0; i < Tile::kRowsOfThread; ++i)
    lines[i] = a.line(batch, first_m + i * kAcross + threadIdx.x % kAcross);
  // Of the columns' elements a thread brings those of one column.
  const int own_column = threadIdx.x % kColumns, own_depth = threadIdx.x / kColumns;
  const typename SourceB::Line own_line = b.line(batch, first_n + own_column);
  const int depth_at_once = Tile::kGroups * grid.group_depth,
            own_begin = static_cast<int>(threadIdx.x) / kAcross * grid.group_depth;
  float sums[Tile::kRowsOfThread][kColumns] = {};
  for (int64_t first_k = 0; first_k < shape.k; first_k += depth_at_once) {
    const auto depths = static_cast<int>(min(shape.k - first_k, int64_t{depth_at_once}));
    __syncthreads();
    if (const int depth = kWidth * static_cast<int>(threadIdx.x); depth < depth_at_once)
      steps[threadIdx.x].put(depth < depths ? a.step(batch, first_k + depth)
                                            : typename SourceA::Step{});  // which leads nowhere
    for (int depth = own_depth; depth < depth_at_once; depth += kNarrowThreads / kColumns) {
      const float* from =
          depth < depths ? b.address(own_line, b.step(batch, first_k + depth)) : nullptr;
      columns[depth][own_column] = from ? *from : 0.0f;
    }
    __syncthreads();
    const int end = min(depths, own_begin + grid.group_depth);
    for (int depth = own_begin; depth < end; depth += kNarrowLoads) {
      float elements[Tile::kRowsOfThread][kNarrowLoads];
      NEURONA_UNROLL
      for (int j = 0; j < kNarrowLoads; j += kWidth) {
        const auto step = steps[(depth + j) / kWidth].template as<typename SourceA::Step>();
        NEURONA_UNROLL
        for (int i = 0; i < Tile::kRowsOfThread; ++i)
          elements_or_zeros<kWidth>(a, lines[i], step, elements[i] + j);
      }
      NEURONA_UNROLL
      for (int j = 0; j < kNarrowLoads; ++j) {
        NEURONA_UNROLL
        for (int i = 0; i < Tile::kRowsOfThread; ++i) {
          NEURONA_UNROLL
          for (int n = 0; n < kColumns; ++n)
            sums[i][n] = fmaf(elements[i][j], columns[depth + j][n], sums[i][n]);
        }
      }
    }
  }
  store_narrow_tile<Tile>(*reinterpret_cast<typename Tile::Sums*>(memory), shape, batch, first_m,
                          first_n, target, sums);
}

template <typename Tile, typename SourceA, typename SourceB, typename Target>
void narrow_product_by(const char* name, const ProductShape& shape, const SourceA& a,
                       const SourceB& b, const Target& target) {
  constexpr int kGroups = Tile::kGroups;
  // Without a tap the product is 0 all over.
  const int64_t rounds = std::max(divide_up(shape.k, kGroups * kNarrowDepth), int64_t{1});
  const int64_t group_depth = divide_up(shape.k, rounds * kGroups * kNarrowLoads) * kNarrowLoads;
  const NarrowGrid grid{static_cast<unsigned>(divide_up(shape.m, Tile::kRows)),
                        static_cast<unsigned>(divide_up(shape.n, Tile::kColumns)),
                        static_cast<int>(group_depth)};
  const auto blocks = static_cast<unsigned>(grid.tiles_m * grid.tiles_n * shape.batches);
  const auto kernel = a.is_in_fours(shape.k)
                          ? narrow_product_kernel<Tile, 4, SourceA, SourceB, Target>
                      : a.is_in_pairs() ? narrow_product_kernel<Tile, 2, SourceA, SourceB, Target>
                                        : narrow_product_kernel<Tile, 1, SourceA, SourceB, Target>;
  launch(name, kernel, overlapping({dim3(blocks), dim3(kNarrowThreads)}), shape, grid, a, b,
         target);
}

// With as many groups as it takes for two blocks on each multiprocessor, which is 16 warps; less
// than 8 steps would not pay for adding a group's sums.
template <int kColumns, typename SourceA, typename SourceB, typename Target>
void narrow_product_of(const char* name, const ProductShape& shape, const SourceA& a,
                       const SourceB& b, const Target& target) {
  constexpr int64_t kEnoughBlocks = kNarrowBlocksAtOnce * kEnoughTiles, kFewestSteps = 8;
  const auto is_enough = [&](auto tile) {
    const int64_t blocks =
        divide_up(shape.m, tile.kRows) * divide_up(shape.n, kColumns) * shape.batches;
    return blocks >= kEnoughBlocks || shape.k < 2 * tile.kGroups * kFewestSteps;
  };
  const auto run = [&](auto tile) { narrow_product_by<decltype(tile)>(name, shape, a, b, target); };
  if (is_enough(NarrowTile<1, kColumns>{})) return run(NarrowTile<1, kColumns>{});
  if (is_enough(NarrowTile<2, kColumns>{})) return run(NarrowTile<2, kColumns>{});
  run(NarrowTile<8, kColumns>{});
}

template <typename SourceA, typename SourceB, typename Target>
void narrow_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  if (shape.n <= 8) return narrow_product_of<8>(name, shape, a, b, target);
  narrow_product_of<16>(name, shape, a, b, target);
}

}  // namespace neurona
