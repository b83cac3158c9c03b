// Rows of a few elements on their way through shared memory: a block brings as many rows as it has
// threads, whose elements lie side by side, and each thread then works on a row of its own.
#pragma once

#include "core/axis_view.h"
#include "cuda/device.h"

namespace neurona {

// The rows of a block. In shared memory they begin `pitch` floats apart. Threads read theirs at the
// same time: lengths that are no multiple of 4 leave two rows to a bank at most, others have a
// float between each two rows.
class StagedRows {
 public:
  __host__ __device__ explicit StagedRows(const AxisView& view)
      : rows_(view.outer),
        length_(static_cast<int>(view.length)),
        pitch_(length_ % 4 == 0 ? length_ + 1 : length_) {}

  // Of one array.
  size_t bytes() const { return static_cast<size_t>(kBlock) * pitch_ * sizeof(float); }

  // The memory of the number-th array.
  __device__ float* place(int number) const {
    NEURONA_DYNAMIC_SHARED(float, memory);
    return memory + number * kBlock * pitch_;
  }
  __device__ float* own(float* place) const { return place + threadIdx.x * pitch_; }

  // From the device's memory; behind it, all threads see all rows. Rows have at most kLongest
  // elements, all of which are asked for before the first one comes: in a loop whose turns the
  // compiler does not know, each would wait for the one before.
  template <int kLongest>
  __device__ void bring(const float* array, float* place) const {
    constexpr int kTurns = (kLongest + 3) / 4;
    const float* const from = array + first();
    const int fours = is_aligned(from) ? count() / 4 : 0;
    float4 own[kTurns];
    NEURONA_UNROLL
    for (int turn = 0; turn < kTurns; ++turn) {
      const int i = turn * kBlock + static_cast<int>(threadIdx.x);
      if (i < fours) own[turn] = reinterpret_cast<const float4*>(from)[i];
    }
    NEURONA_UNROLL
    for (int turn = 0; turn < kTurns; ++turn) {
      const int i = turn * kBlock + static_cast<int>(threadIdx.x);
      if (i >= fours) continue;
      const float4 four = own[turn];
      float* const to = place + shifted(4 * i);
      if (pitch_ == length_)
        *reinterpret_cast<float4*>(to) = four;
      else
        to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
    }
    NEURONA_NO_UNROLL
    for (int i = 4 * fours + static_cast<int>(threadIdx.x); i < count(); i += kBlock)
      place[shifted(i)] = from[i];
    __syncthreads();
  }

  // And back, when every thread has written its row.
  __device__ void take(const float* place, float* array) const {
    __syncthreads();
    float* const to = array + first();
    const int fours = is_aligned(to) ? count() / 4 : 0;
    NEURONA_NO_UNROLL
    for (int i = threadIdx.x; i < fours; i += kBlock) {
      const float* from = place + shifted(4 * i);
      __stwb(reinterpret_cast<float4*>(to) + i,
             pitch_ == length_ ? *reinterpret_cast<const float4*>(from)
                               : make_float4(from[0], from[1], from[2], from[3]));
    }
    NEURONA_NO_UNROLL
    for (int i = 4 * fours + static_cast<int>(threadIdx.x); i < count(); i += kBlock)
      to[i] = place[shifted(i)];
  }

 private:
  __device__ int64_t first() const { return int64_t{blockIdx.x} * kBlock * length_; }
  __device__ int count() const {
    return static_cast<int>(min(rows_ - int64_t{blockIdx.x} * kBlock, int64_t{kBlock})) * length_;
  }
  __device__ static bool is_aligned(const float* array) {
    return reinterpret_cast<uintptr_t>(array) % sizeof(float4) == 0;
  }
  // Where element i of the block's rows lies.
  __device__ int shifted(int i) const { return pitch_ == length_ ? i : i + i / length_; }

  int64_t rows_;
  int length_, pitch_;
};

}  // namespace neurona
