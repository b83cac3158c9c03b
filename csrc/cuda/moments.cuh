// Mean and sum of squared deviations.
#pragma once

#include "cuda/wide_rows.cuh"

namespace neurona {

struct Moments {
  double count, mean, m2;
};

// Those of both (Chan et al. 1979). Weights that sum to 1, rather than a correction of the mean,
// keep an infinite mean infinite.
__device__ inline Moments merged(const Moments& a, const Moments& b) {
  if (b.count == 0) return a;
  if (a.count == 0) return b;
  const double count = a.count + b.count, weight = b.count / count, delta = b.mean - a.mean;
  return {count, a.mean * (1 - weight) + b.mean * weight,
          a.m2 + b.m2 + delta * delta * (a.count * weight)};
}

// Of at most kMostRows values, by sums about a shift: the mean of the first group. Were these the
// ones that lie far from all others, that would cost 15 times the rounding errors.
__device__ inline Moments moments_of(const float* x, int count, int64_t step) {
  if (count == 0) return {};
  const int in_shift = min(count, kGroupRows);
  const float share = 1.0f / static_cast<float>(in_shift);
  float shift = 0;  // the sum of shares, unlike a share of the sum, does not overflow
  for (int i = 0; i < in_shift; ++i) shift = fmaf(share, x[i * step], shift);
  float sum = 0, squares = 0;
  for (int begin = 0; begin < count; begin += kGroupRows) {
    float group_sum = 0, group_squares = 0;
    for (int i = begin; i < min(begin + kGroupRows, count); ++i) {
      const float difference = x[i * step] - shift;
      group_sum += difference;
      group_squares = fmaf(difference, difference, group_squares);
    }
    sum += group_sum;
    squares += group_squares;
  }
  const double d = static_cast<double>(sum) / count;
  return {static_cast<double>(count), isinf(shift) ? shift : shift + d,  // d is NaN then
          squares - d * sum};
}

// Those of all lanes of a warp, in lane 0.
__device__ inline Moments warp_merged(Moments own) {
  for (int distance = kWarpSize / 2; distance > 0; distance /= 2)
    own = merged(own, {__shfl_down_sync(kAllLanes, own.count, distance),
                       __shfl_down_sync(kAllLanes, own.mean, distance),
                       __shfl_down_sync(kAllLanes, own.m2, distance)});
  return own;
}

}  // namespace neurona
