// The product of product.cuh for a handful of columns, where tiles of 64 would be nine parts zero:
// a thread computes 8 columns of one row. Its row's elements come from where they lie; the columns'
// elements, and what steps along k have in common, lie in shared memory, which all threads of a
// block read at the same place. Each sum is one chain of fmaf() with k ascending.
#pragma once

#include <cstring>

#include "cuda/product/patches.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/product/slices.cuh"

namespace neurona {

constexpr int kNarrowThreads = 128, kNarrowColumns = 8;
// Of a multiprocessor; as many as a first layer of 128 images of 28 x 28 has for each of 132. Asked
// for no number, ptxas takes so few registers that it spills.
constexpr int kNarrowBlocksAtOnce = 6;
// Steps that a block prepares at once, and elements of a row that are under way at once.
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
    memcpy(&step, &all, sizeof step);
    return step;
  }
};
struct alignas(16) NarrowColumns {
  float at[kNarrowColumns];
};

// Steps are kWidth neighbours along k: 4 where they lie side by side.
template <int kWidth, typename SourceA, typename SourceB, typename Target>
__global__ void __launch_bounds__(kNarrowThreads, kNarrowBlocksAtOnce)
    narrow_product_kernel(ProductShape shape, unsigned tiles_m, unsigned tiles_n, SourceA a,
                          SourceB b, Target target) {
  wait_for_earlier_kernels();
  constexpr int kSteps = kNarrowDepth / kWidth;
  NEURONA_SHARED(NarrowStep, steps, [kSteps]);
  NEURONA_SHARED(NarrowColumns, columns, [kNarrowDepth]);
  const unsigned outer = blockIdx.x / tiles_m;
  const int64_t batch = outer / tiles_n, first_n = int64_t{outer % tiles_n} * kNarrowColumns,
                m = int64_t{blockIdx.x % tiles_m} * kNarrowThreads + threadIdx.x;
  const typename SourceA::Line line = a.line(batch, m);
  // Of the columns' elements a thread brings those of one column.
  const int own_column = threadIdx.x % kNarrowColumns, own_depth = threadIdx.x / kNarrowColumns;
  const typename SourceB::Line own_line = b.line(batch, first_n + own_column);
  float sums[kNarrowColumns] = {};
  for (int64_t first_k = 0; first_k < shape.k; first_k += kNarrowDepth) {
    const auto depths = static_cast<int>(min(shape.k - first_k, int64_t{kNarrowDepth}));
    __syncthreads();
    if (const int depth = kWidth * static_cast<int>(threadIdx.x); depth < kNarrowDepth)
      steps[threadIdx.x].put(depth < depths ? a.step(batch, first_k + depth)
                                            : typename SourceA::Step{});  // which leads nowhere
    NEURONA_UNROLL
    for (int i = 0; i < kNarrowDepth; i += kNarrowThreads / kNarrowColumns) {
      const int depth = i + own_depth;
      const float* from =
          depth < depths ? b.address(own_line, b.step(batch, first_k + depth)) : nullptr;
      columns[depth].at[own_column] = from ? *from : 0.0f;
    }
    __syncthreads();
    for (int depth = 0; depth < depths; depth += kNarrowLoads) {
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
  store_runs<4, 1, kNarrowColumns / 4>(
      target, batch, shape, [&](int) { return m; }, [&](int j) { return first_n + 4 * j; },
      [&](int, int j) {
        return Run<4>{{sums[4 * j], sums[4 * j + 1], sums[4 * j + 2], sums[4 * j + 3]}};
      });
}

template <typename SourceA, typename SourceB, typename Target>
void narrow_product(const char* name, const ProductShape& shape, const SourceA& a, const SourceB& b,
                    const Target& target) {
  const auto tiles_m = static_cast<unsigned>(divide_up(shape.m, kNarrowThreads)),
             tiles_n = static_cast<unsigned>(divide_up(shape.n, kNarrowColumns));
  const auto blocks = static_cast<unsigned>(tiles_m * tiles_n * shape.batches);
  const auto kernel = a.is_in_fours(shape.k) ? narrow_product_kernel<4, SourceA, SourceB, Target>
                                             : narrow_product_kernel<1, SourceA, SourceB, Target>;
  launch(name, kernel, overlapping({dim3(blocks), dim3(kNarrowThreads)}), shape, tiles_m, tiles_n,
         a, b, target);
}

}  // namespace neurona
