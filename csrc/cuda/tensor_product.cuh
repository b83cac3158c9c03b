// The product of product.cuh on tensor cores: the same sources, targets and grid, elements rounded
// to TF32 or bfloat16 on their way to shared memory, sums in float32.
//
// 8 warps share a tile, 2 along m and 4 along n. The operands' parts lie in shared memory as
// [line][word], rows 4 words longer than the part, so that the 32 words of a fragment (8 lines, 4
// neighbours each) lie in 32 different banks: a part has 16 words of TF32 or 8 of bfloat16, and 8
// lines times 20 modulo 32 are 0, 20, 8, 28, 16, 4, 24, 12, times 12 they are 0, 12, 24, 4, 16, 28,
// 8, 20.
#pragma once

#include "cuda/product.cuh"
#include "cuda/ptx/mma.cuh"

namespace neurona {

constexpr int kStepWords = 8;  // of one mma.sync along k
constexpr int kWarpsM = 2, kWarpsN = 4;

// A part in shared memory, with elements of Number and the lines outermost.
template <typename Number>
constexpr int kPartWords = kDepth / Number::kPerWord;  // of a line
template <int kLines, typename Number>
using TensorPart = typename Number::Element[kLines][(kPartWords<Number> + 4) * Number::kPerWord];

template <typename Number, int kLines, typename Source>
__device__ inline void store_rounded(const PartLoader<kLines, Source>& loader,
                                     TensorPart<kLines, Number>& part) {
  loader.store(
      [&](int line, int depth, float element) { part[line][depth] = Number::from_float(element); });
}

// What a lane holds of 16 or 8 lines of a part: the words of its line, and of the line 8 below if
// there are four, in the order of ptx/mma.cuh.
template <typename Number, typename Part, int kHeld>
__device__ inline void load_fragment(const Part& part, int line, int word,
                                     uint32_t (&held)[kHeld]) {
  constexpr int kLinesHeld = kHeld / 2;
  NEURONA_UNROLL
  for (int i = 0; i < kHeld; ++i) {
    const auto* element =
        &part[line + 8 * (i % kLinesHeld)][(word + 4 * (i / kLinesHeld)) * Number::kPerWord];
    held[i] = *reinterpret_cast<const uint32_t*>(element);
  }
}

template <int kQuarters, typename Number, typename SourceA, typename SourceB, typename Target>
__global__ void __launch_bounds__(kProductThreads, blocks_at_once(kQuarters* kQuarters))
    tensor_product_kernel(ProductShape shape, ProductGrid grid, SourceA a, SourceB b,
                          ProductOutput<Target> output) {
  constexpr int kTile = kQuarters * kQuarter, kRows = kTile / kWarpsM, kColumns = kTile / kWarpsN;
  constexpr int kDown = kRows / 16, kAcross = kColumns / 8;  // mma.sync tiles of a warp
  using TilePart = TensorPart<kTile, Number>;
  NEURONA_SHARED(TilePart, parts_a, [2]);
  NEURONA_SHARED(TilePart, parts_b, [2]);

  const BlockPlace place = block_place(grid);
  const int64_t first_m = place.tile_m * kTile, first_n = place.tile_n * kTile;
  const int64_t first_k = place.slice * grid.slice_length;
  const int64_t end_k = min(shape.k, first_k + grid.slice_length);
  const int warp = threadIdx.x / kWarpSize, g = threadIdx.x % kWarpSize / 4, t = threadIdx.x % 4;
  const int row = warp / kWarpsN * kRows, column = warp % kWarpsN * kColumns;

  PartLoader<kTile, SourceA> loader_a(a, place.batch, first_m);
  PartLoader<kTile, SourceB> loader_b(b, place.batch, first_n);
  float sums[kDown][kAcross][4] = {};
  loader_a.fetch(first_k, end_k);
  loader_b.fetch(first_k, end_k);
  store_rounded<Number>(loader_a, parts_a[0]);
  store_rounded<Number>(loader_b, parts_b[0]);
  __syncthreads();
  int current = 0;
  for (int64_t k = first_k; k < end_k; k += kDepth) {
    const int64_t next = k + kDepth;
    const bool more = next < end_k;
    if (more) {
      loader_a.fetch(next, end_k);
      loader_b.fetch(next, end_k);
    }
    NEURONA_NO_UNROLL  // the fragments of one step fill the registers
    for (int word = t; word < kPartWords<Number>; word += kStepWords) {
      uint32_t left[kDown][4], right[kAcross][2];
      NEURONA_UNROLL
      for (int i = 0; i < kDown; ++i)
        load_fragment<Number>(parts_a[current], row + 16 * i + g, word, left[i]);
      NEURONA_UNROLL
      for (int j = 0; j < kAcross; ++j)
        load_fragment<Number>(parts_b[current], column + 8 * j + g, word, right[j]);
      NEURONA_UNROLL
      for (int i = 0; i < kDown; ++i) {
        NEURONA_UNROLL
        for (int j = 0; j < kAcross; ++j) multiply_add(Number{}, sums[i][j], left[i], right[j]);
      }
    }
    if (!more) break;
    current ^= 1;
    store_rounded<Number>(loader_a, parts_a[current]);
    store_rounded<Number>(loader_b, parts_b[current]);
    __syncthreads();
  }

  NEURONA_UNROLL
  for (int tile = 0; tile < kDown * kAcross; ++tile) {
    const int i = tile / kAcross, j = tile % kAcross;
    NEURONA_UNROLL
    for (int part = 0; part < 4; ++part) {
      const int64_t m = first_m + row + 16 * i + g + 8 * (part / 2),
                    n = first_n + column + 8 * j + 2 * t + part % 2;
      if (m < shape.m && n < shape.n) output.store(place, grid.slices, m, n, sums[i][j][part]);
    }
  }
}

template <typename Number, typename SourceA, typename SourceB, typename Target>
void tensor_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  constexpr int64_t kSmall = kQuarter, kLarge = 2 * kQuarter;
  if (enough_tiles(shape, kLarge, kLarge))
    return run_product(name, tensor_product_kernel<2, Number, SourceA, SourceB, Target>, kLarge,
                       kLarge, shape, a, b, target);
  run_product(name, tensor_product_kernel<1, Number, SourceA, SourceB, Target>, kSmall, kSmall,
              shape, a, b, target);
}

}  // namespace neurona
