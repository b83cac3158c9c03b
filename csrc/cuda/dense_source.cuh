// Dense matrices as sources of a product (see product.cuh).
#pragma once

#include "cuda/device.h"

namespace neurona {

// Whether data and counts of elements allow copies of 4 elements.
template <typename... Counts>
bool are_in_fours(const float* data, Counts... counts) {
  return reinterpret_cast<uintptr_t>(data) % (4 * sizeof(float)) == 0 && (... && (counts % 4 == 0));
}

// Lines of a dense matrix: line i, element k at data[i * line_stride + k * depth_stride].
template <bool kContiguousAlongK>
struct DenseSource {
  static constexpr bool kDepthIsContiguous = kContiguousAlongK;
  const float* data;
  int64_t count, line_stride, depth_stride, batch_stride;

  using Line = const float*;
  using Step = int64_t;
  __device__ Line line(int64_t batch, int64_t index) const {
    return index < count ? data + batch * batch_stride + index * line_stride : nullptr;
  }
  __device__ Step step(int64_t, int64_t k) const { return k * depth_stride; }
  __device__ const float* address(const Line& line, const Step& step) const {
    return line ? line + step : nullptr;
  }
  __device__ const float* first() const { return data; }
  bool is_in_fours(int64_t depth) const {
    return kContiguousAlongK ? are_in_fours(data, line_stride, batch_stride, depth)
                             : are_in_fours(data, depth_stride, batch_stride, count);
  }
};

}  // namespace neurona
