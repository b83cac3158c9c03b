// Dense matrices as sources of a product (see product.cuh).
#pragma once

#include "cuda/device.h"

namespace neurona {

// Whether data and counts of elements allow copies of kWidth elements.
template <int kWidth, typename... Counts>
bool are_in_runs(const float* data, Counts... counts) {
  return reinterpret_cast<uintptr_t>(data) % (kWidth * sizeof(float)) == 0 &&
         (... && (counts % kWidth == 0));
}
template <typename... Counts>
bool are_in_fours(const float* data, Counts... counts) {
  return are_in_runs<4>(data, counts...);
}
template <typename... Counts>
bool are_in_pairs(const float* data, Counts... counts) {
  return are_in_runs<2>(data, counts...);
}

// Lines of a dense matrix: line i, element k at data[i * stride + k], or, not contiguous along k,
// at data[k * stride + i]. A line beyond the last is the first one: nothing of its sums is stored.
template <bool kContiguousAlongK>
struct DenseSource {
  static constexpr bool kDepthIsContiguous = kContiguousAlongK;
  static constexpr bool kIsEverywhere = true;
  const float* data;
  int64_t count, stride, batch_stride;

  using Line = const float*;
  using Step = int64_t;
  __device__ Line line(int64_t batch, int64_t index) const {
    const int64_t known = index < count ? index : 0;
    return data + batch * batch_stride + (kContiguousAlongK ? known * stride : known);
  }
  // In proportion to k: addresses are counted up by it.
  __device__ Step step(int64_t, int64_t k) const { return kContiguousAlongK ? k : k * stride; }
  __device__ const float* address(const Line& line, const Step& step) const { return line + step; }
  __host__ __device__ const float* first() const { return data; }
  bool is_in_fours(int64_t depth) const {
    return are_in_fours(data, stride, batch_stride, kContiguousAlongK ? depth : count);
  }
};

}  // namespace neurona
