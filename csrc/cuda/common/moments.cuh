// Mean and sum of squared deviations.
#pragma once

#include "cuda/common/wide_rows.cuh"

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

// Of at most kMostRows values in each lane, by sums about a shift: the mean of the first group.
// Were these the ones that lie far from all others, that would cost 15 times the rounding errors.
template <typename Item>
__device__ inline void moments_of(const Item* x, int count, int64_t step,
                                  Moments (&result)[Item::kLanes]) {
  constexpr int kLanes = Item::kLanes;
  NEURONA_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) result[lane] = {};
  if (count == 0) return;
  const int in_shift = min(count, kGroupRows);
  const float share = 1.0f / static_cast<float>(in_shift);
  Item shift{}, sum{}, squares{};
  for (int begin = 0; begin < count; begin += kGroupRows) {
    Item rows[kGroupRows];  // loaded together
    NEURONA_UNROLL
    for (int i = 0; i < kGroupRows; ++i)
      if (begin + i < count) rows[i] = x[(begin + i) * step];
    NEURONA_UNROLL
    for (int lane = 0; lane < kLanes; ++lane) {
      // The sum of shares, unlike a share of the sum, does not overflow.
      NEURONA_UNROLL
      for (int i = 0; i < kGroupRows; ++i)
        if (begin == 0 && i < count) shift[lane] = fmaf(share, rows[i][lane], shift[lane]);
      float group_sum = 0, group_squares = 0;
      NEURONA_UNROLL
      for (int i = 0; i < kGroupRows; ++i) {
        if (begin + i >= count) continue;
        const float difference = rows[i][lane] - shift[lane];
        group_sum += difference;
        group_squares = fmaf(difference, difference, group_squares);
      }
      sum[lane] += group_sum;
      squares[lane] += group_squares;
    }
  }
  NEURONA_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) {
    const double d = static_cast<double>(sum[lane]) / count;
    // d is NaN where the shift is infinite.
    result[lane] = {static_cast<double>(count), isinf(shift[lane]) ? shift[lane] : shift[lane] + d,
                    squares[lane] - d * sum[lane]};
  }
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
