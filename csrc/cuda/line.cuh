// Threads that share a line: the elements of an array along one axis, `stride` apart in memory.
//
// Lines that are contiguous are rows, and a part of a warp, a warp or a block walks one together.
// Other lines are columns: neighbouring threads take neighbouring columns, and those above each
// other in the block share one when it is long. Every sum has an order that the shape alone fixes.
#pragma once

#include "core/axis_view.h"
#include "cuda/device.h"

namespace neurona {

// The elements of the thread with number `member` among those of its line: first, first + step, ...
// before `end`; none when there is no such line.
struct Share {
  int64_t line;
  int member;
  int64_t first, end, step;
};

struct Add {
  template <typename T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Larger {
  __device__ float operator()(float a, float b) const { return b > a ? b : a; }  // skips NaN as b
};

template <int kThreads>
struct RowThreads {
  static_assert(kThreads <= kWarpSize || kThreads == kBlock, "part of a warp, or a block");
  static constexpr int kRows = kBlock / kThreads;

  static Launch shape(const AxisView& view) {
    return {dim3(static_cast<unsigned>(divide_up(view.outer, kRows))), dim3(kBlock)};
  }

  __device__ static Share share(const AxisView& view) {
    const int64_t row = static_cast<int64_t>(blockIdx.x) * kRows + threadIdx.x / kThreads;
    const int member = threadIdx.x % kThreads;
    if (row >= view.outer) return {row, member, 0, 0, kThreads};
    const int64_t begin = row * view.length;
    return {row, member, begin + member, begin + view.length, kThreads};
  }

  // All values of the row's threads combined, in each of them.
  template <typename T, typename Combine>
  __device__ static T combined(T value, const Combine& combine) {
    for (int distance = min(kThreads, kWarpSize) / 2; distance > 0; distance /= 2)
      value = combine(value, __shfl_xor_sync(kAllLanes, value, distance));
    if constexpr (kThreads <= kWarpSize) {
      return value;
    } else {
      NEURONA_SHARED(T, of_warp, [kThreads / kWarpSize]);
      if (threadIdx.x % kWarpSize == 0) of_warp[threadIdx.x / kWarpSize] = value;
      __syncthreads();
      value = of_warp[0];
      for (int warp = 1; warp < kThreads / kWarpSize; ++warp) value = combine(value, of_warp[warp]);
      __syncthreads();  // before the next call writes
      return value;
    }
  }
};

template <int kThreads>
struct ColumnThreads {
  static constexpr int kColumns = kBlock / kThreads;

  static Launch shape(const AxisView& view) {
    return {dim3(static_cast<unsigned>(divide_up(view.outer * view.inner, kColumns))),
            dim3(kColumns, kThreads)};
  }

  __device__ static Share share(const AxisView& view) {
    const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
    const int member = threadIdx.y;
    if (column >= view.outer * view.inner) return {column, member, 0, 0, 1};
    const int64_t begin = column / view.inner * view.length * view.inner + column % view.inner;
    return {column, member, begin + member * view.inner, begin + view.length * view.inner,
            kThreads * view.inner};
  }

  template <typename T, typename Combine>
  __device__ static T combined(T value, const Combine& combine) {
    if constexpr (kThreads == 1) {
      return value;
    } else {
      NEURONA_SHARED(T, of_thread, [kThreads][kColumns]);
      of_thread[threadIdx.y][threadIdx.x] = value;
      __syncthreads();
      value = of_thread[0][threadIdx.x];
      for (int i = 1; i < kThreads; ++i) value = combine(value, of_thread[i][threadIdx.x]);
      __syncthreads();  // before the next call writes
      return value;
    }
  }
};

// The line of this thread. Sums and maxima are a matter of all threads that share a line, and may
// wait for the whole block: every thread must ask for them, also one without a line.
template <typename Threads>
class Line {
 public:
  __device__ explicit Line(const AxisView& view) : share_(Threads::share(view)) {}

  __device__ int64_t number() const { return share_.line; }
  __device__ bool is_first_thread() const { return share_.member == 0; }

  template <typename Body>
  __device__ void for_each(const Body& body) const {
    for (int64_t i = share_.first; i < share_.end; i += share_.step) body(i);
  }

  // -inf when all are NaN.
  template <typename Value>
  __device__ float maximum(const Value& value) const {
    const Larger larger;
    float found = -INFINITY;
    for_each([&](int64_t i) { found = larger(found, value(i)); });
    return Threads::combined(found, larger);
  }

  // Runs of 64 terms in float32, above them double.
  template <typename Term>
  __device__ double sum(const Term& term) const {
    double total = 0;
    for (int64_t i = share_.first; i < share_.end;) {
      const int64_t rest = share_.end - i,
                    stop = i + (rest < 64 * share_.step ? rest : 64 * share_.step);
      float run = 0;
      for (; i < stop; i += share_.step) run += term(i);
      total += run;
    }
    return Threads::combined(total, Add{});
  }

 private:
  Share share_;
};

// Calls body with the threads that suit rows of this length.
template <typename Body>
void with_row_threads(int64_t length, const Body& body) {
  if (length <= 16) return body(RowThreads<8>{});
  if (length <= 1024) return body(RowThreads<kWarpSize>{});
  body(RowThreads<kBlock>{});
}

template <typename Body>
void with_line_threads(const AxisView& view, const Body& body) {
  if (view.inner == 1) return with_row_threads(view.length, body);
  if (view.length <= 32) return body(ColumnThreads<1>{});
  body(ColumnThreads<8>{});
}

}  // namespace neurona
