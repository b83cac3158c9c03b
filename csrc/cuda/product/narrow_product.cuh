// The product of product.cuh for a handful of columns, where tiles of 64 would be nine parts zero:
// a thread computes 8 columns of one row. Its row's elements come from where they lie; the columns'
// elements, and what steps along k have in common, lie in shared memory, which all threads of a
// block read at the same place. Each sum is one chain of fmaf() with k ascending, or where there
// are too few rows to keep a GPU busy the sum of two: half of the threads take every other 32
// steps.
#pragma once

#include <cstring>

#include "cuda/product/patches.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/product/slices.cuh"

namespace neurona {

constexpr int kNarrowRows = 128, kNarrowColumns = 8;
// Of a multiprocessor; as many as a first layer of 128 images of 28 x 28 has for each of 132. Asked
// for no number, ptxas takes so few registers that it spills.
constexpr int kNarrowBlocksAtOnce = 6;
// Steps that a block prepares at once for each group of threads, and elements of a row that are
// under way at once.
constexpr int kNarrowDepth = 32, kNarrowLoads = 8;

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
struct alignas(16) NarrowColumns {
  float at[kNarrowColumns];
};

// Adds the second group's sums to those of the first, whose threads get true.
__device__ inline bool add_second_group(float (&sums)[kNarrowColumns]) {
  NEURONA_SHARED(float, seconds, [kNarrowColumns][kNarrowRows]);
  const int row = threadIdx.x % kNarrowRows;
  const bool is_first = threadIdx.x < kNarrowRows;
  if (!is_first) {
    NEURONA_UNROLL
    for (int j = 0; j < kNarrowColumns; ++j) seconds[j][row] = sums[j];
  }
  __syncthreads();
  if (is_first) {
    NEURONA_UNROLL
    for (int j = 0; j < kNarrowColumns; ++j) sums[j] += seconds[j][row];
  }
  return is_first;
}

// Steps are kWidth neighbours along k: 4 where they lie side by side. kGroups: 1 or 2.
template <int kGroups, int kWidth, typename SourceA, typename SourceB, typename Target>
__global__ void __launch_bounds__(kGroups* kNarrowRows, kNarrowBlocksAtOnce / kGroups)
    narrow_product_kernel(ProductShape shape, unsigned tiles_m, unsigned tiles_n, SourceA a,
                          SourceB b, Target target) {
  wait_for_earlier_kernels();
  constexpr int kThreads = kGroups * kNarrowRows, kDepth = kGroups * kNarrowDepth;
  NEURONA_SHARED(NarrowStep, steps, [kDepth / kWidth]);
  NEURONA_SHARED(NarrowColumns, columns, [kDepth]);
  const int group = threadIdx.x / kNarrowRows;
  const unsigned outer = blockIdx.x / tiles_m;
  const int64_t batch = outer / tiles_n, first_n = int64_t{outer % tiles_n} * kNarrowColumns,
                m = int64_t{blockIdx.x % tiles_m} * kNarrowRows + threadIdx.x % kNarrowRows;
  const typename SourceA::Line line = a.line(batch, m);
  // Of the columns' elements a thread brings those of one column.
  const int own_column = threadIdx.x % kNarrowColumns, own_depth = threadIdx.x / kNarrowColumns;
  const typename SourceB::Line own_line = b.line(batch, first_n + own_column);
  float sums[kNarrowColumns] = {};
  for (int64_t first_k = 0; first_k < shape.k; first_k += kDepth) {
    const auto depths = static_cast<int>(min(shape.k - first_k, int64_t{kDepth}));
    __syncthreads();
    if (const int depth = kWidth * static_cast<int>(threadIdx.x); depth < kDepth)
      steps[threadIdx.x].put(depth < depths ? a.step(batch, first_k + depth)
                                            : typename SourceA::Step{});  // which leads nowhere
    NEURONA_UNROLL
    for (int i = 0; i < kDepth; i += kThreads / kNarrowColumns) {
      const int depth = i + own_depth;
      const float* from =
          depth < depths ? b.address(own_line, b.step(batch, first_k + depth)) : nullptr;
      columns[depth].at[own_column] = from ? *from : 0.0f;
    }
    __syncthreads();
    const int end = min(depths, (group + 1) * kNarrowDepth);
    for (int depth = group * kNarrowDepth; depth < end; depth += kNarrowLoads) {
      float elements[kNarrowLoads];
      NEURONA_UNROLL
      for (int i = 0; i < kNarrowLoads; i += kWidth)
        elements_or_zeros<kWidth>(a, line,
                                  steps[(depth + i) / kWidth].template as<typename SourceA::Step>(),
                                  elements + i);
      NEURONA_UNROLL
      for (int i = 0; i < kNarrowLoads; ++i) {
        NEURONA_UNROLL
        for (int j = 0; j < kNarrowColumns; ++j)
          sums[j] = fmaf(elements[i], columns[depth + i].at[j], sums[j]);
      }
    }
  }
  if constexpr (kGroups == 2)
    if (!add_second_group(sums)) return;
  store_runs<4, 1, kNarrowColumns / 4>(
      target, batch, shape, [&](int) { return m; }, [&](int j) { return first_n + 4 * j; },
      [&](int, int j) {
        return Run<4>{{sums[4 * j], sums[4 * j + 1], sums[4 * j + 2], sums[4 * j + 3]}};
      });
}

template <int kGroups, typename SourceA, typename SourceB, typename Target>
void narrow_product_by(const char* name, const ProductShape& shape, const SourceA& a,
                       const SourceB& b, const Target& target) {
  const auto tiles_m = static_cast<unsigned>(divide_up(shape.m, kNarrowRows)),
             tiles_n = static_cast<unsigned>(divide_up(shape.n, kNarrowColumns));
  const auto blocks = static_cast<unsigned>(tiles_m * tiles_n * shape.batches);
  const auto kernel = a.is_in_fours(shape.k)
                          ? narrow_product_kernel<kGroups, 4, SourceA, SourceB, Target>
                          : narrow_product_kernel<kGroups, 1, SourceA, SourceB, Target>;
  launch(name, kernel, overlapping({dim3(blocks), dim3(kGroups * kNarrowRows)}), shape, tiles_m,
         tiles_n, a, b, target);
}

template <typename SourceA, typename SourceB, typename Target>
void narrow_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  // A scheduler of a multiprocessor should have four warps or more to choose from.
  constexpr int64_t kEnoughBlocks = 4 * kEnoughTiles;
  const int64_t blocks =
      divide_up(shape.m, kNarrowRows) * divide_up(shape.n, kNarrowColumns) * shape.batches;
  if (blocks < kEnoughBlocks && shape.k > kNarrowDepth)
    return narrow_product_by<2>(name, shape, a, b, target);
  narrow_product_by<1>(name, shape, a, b, target);
}

}  // namespace neurona
