// Threads that share a line: the elements of an array along one axis, `stride` apart in memory.
//
// Lines that are contiguous are rows, and a part of a warp, a warp or a block walks one together.
// Other lines are columns: neighbouring threads take neighbouring columns, and those above each
// other in the block share one when it is long. Every sum has an order that the shape alone fixes.
//
// A line that is not too long is read once: its threads hold their elements in registers, whose
// number is part of the type, and which are all loaded before the first is used.
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

  // From the first on; of lines whose elements registers hold, which are short.
  __device__ int held_length() const { return static_cast<int>(end - first); }
};

// One of a thread's elements: how far behind its first one, and which of those in its registers.
// Offsets of elements in registers are constants, so that a load needs no address of its own.
struct Spot {
  int64_t offset;
  int number;
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

// kElements of each thread are held; 0 where a line may have more than any fixed number.
template <int kThreads, int kElements>
struct RowThreads {
  static_assert(kThreads <= kWarpSize || kThreads == kBlock, "part of a warp, or a block");
  static constexpr int kHeld = kElements, kStep = kThreads;
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
  static constexpr int kHeld = 0;
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

// value(spot) for a thread's elements: computed once where registers hold the results, else in each
// use.
template <typename Threads, typename Value, bool kHolds = (Threads::kHeld > 0)>
class Held {
 public:
  __device__ Held(const Share& share, const Value& value) {
    const int length = share.held_length();
    NEURONA_UNROLL
    for (int k = 0; k < Threads::kHeld; ++k)
      results_[k] = k * Threads::kStep < length ? value(Spot{k * Threads::kStep, k}) : 0.0f;
  }
  __device__ float operator()(const Spot& spot) const { return results_[spot.number]; }

 private:
  float results_[Threads::kHeld];
};

template <typename Threads, typename Value>
class Held<Threads, Value, false> {
 public:
  __device__ Held(const Share&, const Value& value) : value_(value) {}
  __device__ float operator()(const Spot& spot) const { return value_(spot); }

 private:
  Value value_;
};

// The line of this thread. Sums and maxima are a matter of all threads that share a line, and may
// wait for the whole block: every thread must ask for them, also one without a line.
template <typename Threads>
class Line {
 public:
  __device__ explicit Line(const AxisView& view) : share_(Threads::share(view)) {}

  __device__ int64_t number() const { return share_.line; }
  __device__ bool is_first_thread() const { return share_.member == 0; }

  // The thread's first element, from which offsets count.
  __device__ int64_t first() const { return share_.first; }
  template <typename T>
  __device__ T* own(T* array) const {
    return array + share_.first;
  }

  template <typename Value>
  __device__ Held<Threads, Value> held(const Value& value) const {
    return {share_, value};
  }

  template <typename Body>
  __device__ void for_each(const Body& body) const {
    if constexpr (Threads::kHeld > 0) {
      const int length = share_.held_length();
      NEURONA_UNROLL
      for (int k = 0; k < Threads::kHeld; ++k)
        if (k * Threads::kStep < length) body(Spot{k * Threads::kStep, k});
    } else {
      const int64_t length = share_.end - share_.first;
      for (int64_t offset = 0; offset < length; offset += share_.step) body(Spot{offset, 0});
    }
  }

  // -inf when all are NaN.
  template <typename Value>
  __device__ float maximum(const Value& value) const {
    const Larger larger;
    float found = -INFINITY;
    for_each([&](const Spot& spot) { found = larger(found, value(spot)); });
    return Threads::combined(found, larger);
  }

  // Runs of 64 terms in float32, above them double.
  template <typename Term>
  __device__ double sum(const Term& term) const {
    static_assert(Threads::kHeld <= 64, "one run");
    if constexpr (Threads::kHeld == 0)
      return sum_from_memory([&](int64_t i) { return term({i - share_.first, 0}); });
    float run = 0;
    for_each([&](const Spot& spot) { run += term(spot); });
    return Threads::combined(0.0 + run, Add{});
  }

  // The same for what is in no registers, and would only crowd them: one element after the other.
  template <typename Body>
  __device__ void for_each_from_memory(const Body& body) const {
    NEURONA_NO_UNROLL
    for (int64_t i = share_.first; i < share_.end; i += share_.step) body(i);
  }
  template <typename Term>
  __device__ double sum_from_memory(const Term& term) const {
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

// Calls body with the threads that suit rows of this length, each of which holds 32 elements at
// most. Where two arrays are held, a block takes rows that a warp would need so many for.
template <int kMostOfWarp = 32, typename Body>
void with_row_threads(int64_t length, const Body& body) {
  if (length <= 16) return body(RowThreads<8, 2>{});
  if (length <= 8 * kWarpSize) return body(RowThreads<kWarpSize, 8>{});
  if constexpr (kMostOfWarp < 32) {
    if (length <= 8 * kBlock) return body(RowThreads<kBlock, 8>{});
  } else {
    if (length <= 32 * kWarpSize) return body(RowThreads<kWarpSize, 32>{});
  }
  if (length <= 32 * kBlock) return body(RowThreads<kBlock, 32>{});
  body(RowThreads<kBlock, 0>{});
}

template <int kMostOfWarp = 32, typename Body>
void with_line_threads(const AxisView& view, const Body& body) {
  if (view.inner == 1) return with_row_threads<kMostOfWarp>(view.length, body);
  if (view.length <= 32) return body(ColumnThreads<1>{});
  body(ColumnThreads<8>{});
}

}  // namespace neurona
