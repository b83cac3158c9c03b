// Threads that share a line: the elements of an array along one axis, `stride` apart in memory.
//
// Lines that are contiguous are rows, and a part of a warp, a warp or a block walks one together.
// Other lines are columns: neighbouring threads take neighbouring columns, and those above each
// other in the block share one when it is long. Every sum has an order that the shape alone fixes.
//
// A line that is not too long is read once: its threads hold their elements in registers, whose
// number is part of the type, and which are all loaded before the first is used. Rows of up to 32
// elements are one thread's each, and pass through shared memory, so that what is read and written
// of the device's is side by side all the same (staged_rows.cuh).
#pragma once

#include "core/axis_view.h"
#include "cuda/device.h"
#include "cuda/common/staged_rows.cuh"

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
  static_assert(kThreads <= kWarpSize || kThreads >= kBlock, "part of a warp, or a block");
  static constexpr int kHeld = kElements, kStep = kThreads;
  static constexpr bool kIsStaged = false;
  static constexpr int kBlockThreads = kThreads < kBlock ? kBlock : kThreads;
  static constexpr int kRows = kBlockThreads / kThreads;

  static Launch shape(const AxisView& view, int /* inputs */) {
    return {dim3(static_cast<unsigned>(divide_up(view.outer, kRows))), dim3(kBlockThreads)};
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
    const auto of_lanes = [&](T own) {
      for (int distance = min(kThreads, kWarpSize) / 2; distance > 0; distance /= 2)
        own = combine(own, __shfl_xor_sync(kAllLanes, own, distance));
      return own;
    };
    value = of_lanes(value);
    if constexpr (kThreads <= kWarpSize) {
      return value;
    } else {
      NEURONA_SHARED(T, of_warp, [kThreads / kWarpSize]);
      if (threadIdx.x % kWarpSize == 0) of_warp[threadIdx.x / kWarpSize] = value;
      __syncthreads();
      if constexpr (kThreads == kWarpSize * kWarpSize) {
        // A warp for each lane: to read them all would take registers that hold elements.
        value = of_warp[threadIdx.x % kWarpSize];
        __syncthreads();
        return of_lanes(value);
      }
      value = of_warp[0];
      for (int warp = 1; warp < kThreads / kWarpSize; ++warp) value = combine(value, of_warp[warp]);
      __syncthreads();  // before the next call writes
      return value;
    }
  }
};

// A thread for each row of up to kElements.
template <int kElements>
struct StagedThreads {
  static constexpr int kHeld = kElements, kStep = 1, kBlockThreads = kBlock;
  static constexpr bool kIsStaged = true;

  static Launch shape(const AxisView& view, int inputs) {
    return {dim3(static_cast<unsigned>(divide_up(view.outer, kBlock))), dim3(kBlock),
            inputs * StagedRows(view).bytes()};
  }

  __device__ static Share share(const AxisView& view) {
    const int64_t row = first_element(), begin = row * view.length;
    if (row >= view.outer) return {row, 0, 0, 0, 1};
    return {row, 0, begin, begin + view.length, 1};
  }

  template <typename T, typename Combine>
  __device__ static T combined(T value, const Combine&) {
    return value;
  }
};

template <int kThreads>
struct ColumnThreads {
  static constexpr int kHeld = 0, kBlockThreads = kBlock;
  static constexpr bool kIsStaged = false;
  static constexpr int kColumns = kBlock / kThreads;

  static Launch shape(const AxisView& view, int /* inputs */) {
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
  static constexpr bool kIsHeld = true;
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
  static constexpr bool kIsHeld = false;
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
  __device__ explicit Line(const AxisView& view) : view_(view), share_(Threads::share(view)) {}

  __device__ int64_t number() const { return share_.line; }
  __device__ bool is_first_thread() const { return share_.member == 0; }

  // The thread's first element, from which offsets count.
  __device__ int64_t first() const { return share_.first; }

  // Where the thread's elements of the number-th input are read, and those of an output written,
  // which takes the place of the first input. Every thread asks for them.
  __device__ const float* input(const float* array, int number = 0) const {
    if constexpr (Threads::kIsStaged) {
      float* const place = StagedRows(view_).place(number);
      StagedRows(view_).template bring<Threads::kHeld>(array, place);
      return StagedRows(view_).own(place);
    } else {
      return array + share_.first;
    }
  }
  __device__ float* output(float* array) const {
    if constexpr (Threads::kIsStaged)
      return StagedRows(view_).own(StagedRows(view_).place(0));
    else
      return array + share_.first;
  }
  // When all of an output is written.
  __device__ void finish(float* array) const {
    if constexpr (Threads::kIsStaged) StagedRows(view_).take(StagedRows(view_).place(0), array);
  }

  template <typename Value>
  __device__ Held<Threads, Value> held(const Value& value) const {
    return {share_, value};
  }
  // For another array than the one that is held. Of the longest rows a block has registers for one;
  // of the other L2 still has what few blocks to a multiprocessor ask for again.
  template <typename Value>
  __device__ auto held_beside(const Value& value) const {
    constexpr bool kHolds = 0 < Threads::kHeld && Threads::kBlockThreads <= 512;
    return Held<Threads, Value, kHolds>{share_, value};
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

  // body(spot, value(spot)) for each; of values that no registers hold several are asked for before
  // the first is used, since each is far away.
  template <typename Value, typename Body>
  __device__ void for_each_of(const Value& value, const Body& body) const {
    constexpr int kTogether = Threads::kHeld == 0 || Threads::kBlockThreads > 512 ? 4 : 8;
    float values[kTogether];
    if constexpr (Value::kIsHeld) {
      for_each([&](const Spot& at) { body(at, value(at)); });
    } else if constexpr (Threads::kHeld > 0) {
      const int length = share_.held_length();
      const auto spot = [](int k) { return Spot{k * Threads::kStep, k}; };
      NEURONA_UNROLL
      for (int begin = 0; begin < Threads::kHeld; begin += kTogether) {
        NEURONA_UNROLL
        for (int k = 0; k < kTogether; ++k)
          if (spot(begin + k).offset < length) values[k] = value(spot(begin + k));
        NEURONA_UNROLL
        for (int k = 0; k < kTogether; ++k)
          if (spot(begin + k).offset < length) body(spot(begin + k), values[k]);
      }
    } else {
      const int64_t length = share_.end - share_.first, step = share_.step;
      NEURONA_NO_UNROLL
      for (int64_t offset = 0; offset < length; offset += kTogether * step) {
        NEURONA_UNROLL
        for (int k = 0; k < kTogether; ++k)
          if (offset + k * step < length) values[k] = value(Spot{offset + k * step, 0});
        NEURONA_UNROLL
        for (int k = 0; k < kTogether; ++k)
          if (offset + k * step < length) body(Spot{offset + k * step, 0}, values[k]);
      }
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
      return sum_from_memory([&](int64_t offset) { return term({offset, 0}); });
    float run = 0;
    for_each([&](const Spot& spot) { run += term(spot); });
    return Threads::combined(0.0 + run, Add{});
  }

  // Of term(spot, value(spot)), with the values as for_each_of() has them.
  template <typename Value, typename Term>
  __device__ double sum_of(const Value& value, const Term& term) const {
    if constexpr (Threads::kHeld == 0 || Value::kIsHeld)
      return sum([&](const Spot& at) { return term(at, value(at)); });
    float run = 0;
    for_each_of(value, [&](const Spot& at, float own) { run += term(at, own); });
    return Threads::combined(0.0 + run, Add{});
  }

  // The same for what is in no registers, and would only crowd them: one element after the other,
  // by their offsets.
  template <typename Body>
  __device__ void for_each_from_memory(const Body& body) const {
    const int64_t length = share_.end - share_.first;
    NEURONA_NO_UNROLL
    for (int64_t offset = 0; offset < length; offset += share_.step) body(offset);
  }
  template <typename Term>
  __device__ double sum_from_memory(const Term& term) const {
    const int64_t length = share_.end - share_.first;
    double total = 0;
    for (int64_t offset = 0; offset < length;) {
      const int64_t stop = min(length, offset + 64 * share_.step);
      float run = 0;
      for (; offset < stop; offset += share_.step) run += term(offset);
      total += run;
    }
    return Threads::combined(total, Add{});
  }

 private:
  AxisView view_;
  Share share_;
};

// What a block of kBlock threads holds of a row, at most.
constexpr int64_t kMostOfBlock = 32 * kBlock;

// What a kernel has registers for beside its own: most of them; or two arrays, of which a block
// takes rows that a warp would need so many for.
enum class HeldOfRows { kMost, kTwoArrays };

// Calls body with the threads that suit rows of this length.
template <HeldOfRows kHeld = HeldOfRows::kMost, typename Body>
void with_row_threads(int64_t length, const Body& body) {
  constexpr int kLongThreads = 512;
  if (length <= 4) return body(StagedThreads<4>{});
  if (length <= 10) return body(StagedThreads<10>{});
  if (length <= 16) return body(StagedThreads<16>{});
  if (length <= 24) return body(StagedThreads<24>{});
  if (length <= 32) return body(StagedThreads<32>{});
  if (length <= 128) return body(RowThreads<16, 8>{});
  if (length <= 8 * kWarpSize) return body(RowThreads<kWarpSize, 8>{});
  if constexpr (kHeld == HeldOfRows::kTwoArrays) {
    if (length <= 8 * kBlock) return body(RowThreads<kBlock, 8>{});
  } else {
    if (length <= 32 * kWarpSize) return body(RowThreads<kWarpSize, 32>{});
  }
  if (length <= kMostOfBlock) return body(RowThreads<kBlock, 32>{});
  if (length <= 32 * kLongThreads) return body(RowThreads<kLongThreads, 32>{});
  // With registers for 64 elements, or else in a block of twice the threads.
  if (length <= 64 * kLongThreads) {
    if constexpr (kHeld == HeldOfRows::kMost)
      return body(RowThreads<kLongThreads, 64>{});
    else
      return body(RowThreads<2 * kLongThreads, 32>{});
  }
  body(RowThreads<kBlock, 0>{});
}

template <HeldOfRows kHeld = HeldOfRows::kMost, typename Body>
void with_line_threads(const AxisView& view, const Body& body) {
  if (view.inner == 1) return with_row_threads<kHeld>(view.length, body);
  if (view.length <= 32) return body(ColumnThreads<1>{});
  body(ColumnThreads<8>{});
}

}  // namespace neurona
