// Row and column sums, row and column maxima with the position of the winner.
//
// Sums have two levels. A block is summed in float32, each accumulator taking at most kBlock terms
// one after the other, so that the error stays below kBlock units in the last place of the block's
// sum of magnitudes; the blocks are added in double. The order depends on the shape alone.
#include "kernels/reduce.h"

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

constexpr int64_t kBlock = 64;
constexpr int kChains =
    4;  // independent accumulators: latency 4 of an addition times 1 load per cycle

NEURONA_INLINE int lanes_left(int64_t rest) {
  return rest < kLanes ? static_cast<int>(rest) : kLanes;
}

float sum_block(const float* x, int64_t length) {
  Vec sum[kChains] = {};
  int64_t i = 0;
  for (; i + kChains * kLanes <= length; i += kChains * kLanes)
#pragma GCC unroll 4
    for (int j = 0; j < kChains; ++j) sum[j] += load(x + i + j * kLanes);
  for (; i < length; i += kLanes) sum[0] += load_partial(x + i, lanes_left(length - i));
  return reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

void sum_rows(const float* x, int64_t rows, int64_t length, int64_t stride, double* sums) {
  constexpr int64_t kSpan = kBlock * kChains * kLanes;
  for (int64_t row = 0; row < rows; ++row, x += stride) {
    double total = 0;
    for (int64_t i = 0; i < length; i += kSpan)
      total += sum_block(x + i, length - i < kSpan ? length - i : kSpan);
    sums[row] += total;
  }
}

// One block of rows, kVectors vectors of columns of which the last has n lanes.
template <int kVectors>
NEURONA_INLINE void sum_strip(const float* x, int64_t rows, int64_t stride, int n, double* sums) {
  Vec sum[kVectors] = {};
  for (int64_t i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j)
      sum[j] += n == kLanes ? load(x + i * stride + j * kLanes)
                            : load_partial(x + i * stride + j * kLanes, n);
  }
  float lanes[kVectors * kLanes];
#pragma GCC unroll 4
  for (int j = 0; j < kVectors; ++j) store(lanes + j * kLanes, sum[j]);
  for (int j = 0; j < (kVectors - 1) * kLanes + n; ++j) sums[j] += lanes[j];
}

void sum_columns(const float* x, int64_t rows, int64_t columns, int64_t stride, double* sums) {
  for (int64_t first = 0; first < rows; first += kBlock, x += kBlock * stride) {
    const int64_t count = rows - first < kBlock ? rows - first : kBlock;
    int64_t j = 0;
    for (; j + 4 * kLanes <= columns; j += 4 * kLanes)
      sum_strip<4>(x + j, count, stride, kLanes, sums + j);
    for (; j < columns; j += kLanes)
      sum_strip<1>(x + j, count, stride, lanes_left(columns - j), sums + j);
  }
}

// v beats m: it is larger, or the first NaN.
NEURONA_INLINE IntVec beats(Vec v, Vec m) { return (v > m) | ((v != v) & (m == m)); }
NEURONA_INLINE bool beats(float v, float m) { return v > m || (v != v && m == m); }

float block_maximum(const float* x, int64_t length) {
  float best = x[0];
  int64_t i = 0;
  if (length >= kLanes) {
    Vec maximum = load(x);
    for (i = kLanes; i + kLanes <= length; i += kLanes) {
      const Vec v = load(x + i);
      maximum = select(beats(v, maximum), v, maximum);
    }
    float lanes[kLanes];
    store(lanes, maximum);
    best = lanes[0];
    for (int j = 1; j < kLanes; ++j)
      if (beats(lanes[j], best)) best = lanes[j];
  }
  for (; i < length; ++i)
    if (beats(x[i], best)) best = x[i];
  return best;
}

void max_rows(const float* x, int64_t rows, int64_t length, float* values, int64_t* indices) {
  // The position is looked for afterwards, in the block that first reached the maximum.
  constexpr int64_t kSpan = 32 * kLanes;
  for (int64_t row = 0; row < rows; ++row, x += length) {
    float best = x[0];
    int64_t at = 0;
    for (int64_t i = 0; i < length; i += kSpan) {
      const float candidate = block_maximum(x + i, length - i < kSpan ? length - i : kSpan);
      if (beats(candidate, best)) {
        best = candidate;
        at = i;
      }
    }
    values[row] = best;
    if (!indices) continue;
    while (!(x[at] == best || (x[at] != x[at] && best != best))) ++at;
    indices[row] = at;
  }
}

void max_columns(const float* x, int64_t length, int64_t columns, int64_t stride, float* values,
                 int64_t* indices) {
  constexpr int64_t kSpan = int64_t{1} << 30;  // positions within a span fit a lane
  for (int64_t j = 0; j < columns; j += kLanes) {
    const int n = lanes_left(columns - j);
    const auto at = [&](int64_t i) __attribute__((always_inline)) {
      return n == kLanes ? load(x + i * stride + j) : load_partial(x + i * stride + j, n);
    };
    Vec maximum = at(0);
    for (int lane = 0; lane < n; ++lane) indices[j + lane] = 0;
    for (int64_t first = 0; first < length; first += kSpan) {
      const int64_t count = length - first < kSpan ? length - first : kSpan;
      IntVec winner = broadcast_int(-1);
      for (int64_t i = 0; i < count; ++i) {
        const Vec v = at(first + i);
        const IntVec better = beats(v, maximum);
        maximum = select(better, v, maximum);
        winner = better ? broadcast_int(static_cast<int32_t>(i)) : winner;
      }
      int32_t lanes[kLanes];
      store_int(lanes, winner);
      for (int lane = 0; lane < n; ++lane)
        if (lanes[lane] >= 0) indices[j + lane] = first + lanes[lane];
    }
    store_partial(values + j, maximum, n);
  }
}

}  // namespace

ReduceKernels reduce_kernels() { return {sum_rows, sum_columns, max_rows, max_columns}; }

}  // namespace neurona::NEURONA_ISA
