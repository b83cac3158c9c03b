// The sums of thin_rows.cuh where the matrix lies along the depth.
#pragma once

#include <algorithm>

#include "cuda/device.h"
#include "cuda/product/dense_source.cuh"
#include "cuda/product/plain_parts.cuh"
#include "cuda/product/thin_rows.cuh"

namespace neurona {

// Copies the thin rows of one stage after the other to two places in turn, as [step][row][lane][4],
// where step, row and lane are those that will multiply them. All that a thread keeps of it is
// counted up: with many sums there are no registers for more.
template <int kRows, int kWidth, int kStageSteps>
class ThinStages {
 public:
  static constexpr int kStep = 4 * kWarpSize, kStage = kStageSteps * kRows * kStep;

  __device__ ThinStages(const ThinRows& thin, const ThinSteps<kStep>& steps)
      : thin_(thin), length_(steps.count * kStep - steps.missing) {
    if (in_fours())
      begin_with(Threads<4>{}, steps);
    else
      begin_with(Threads<1>{}, steps);
  }

  __device__ void begin_next(float* memory) {
    if (in_fours())
      begin_stage<4>(memory);
    else
      begin_stage<1>(memory);
    commit_copies();
    word_ ^= kStage;
  }

 private:
  // How threads share a stage, with kCount elements in a copy. Of fewer rows than are copied at
  // once, several steps are.
  template <int kCount>
  struct Threads {
    static constexpr int kAlong = kStep / kCount, kAtOnce = kProductThreads / kAlong,
                         kRowsAtOnce = kRows < kAtOnce ? kRows : kAtOnce,
                         kStepsAtOnce = kAtOnce / kRowsAtOnce;
    __device__ static int neighbour() { return static_cast<int>(threadIdx.x) % kAlong * kCount; }
    __device__ static int row() { return static_cast<int>(threadIdx.x) / kAlong % kRowsAtOnce; }
    __device__ static int step() { return static_cast<int>(threadIdx.x) / kAlong / kRowsAtOnce; }
  };

  __device__ bool in_fours() const { return kWidth == 4 && thin_.in_fours; }

  template <typename Own>
  __device__ void begin_with(const Own& own, const ThinSteps<kStep>& steps) {
    const int neighbour = own.neighbour();
    rows_left_ = thin_.count - own.row();
    const int place = own.step() * kStep + neighbour;
    from_ = thin_.address(own.row(), steps.first_k + place);
    place_ = place - steps.missing;
    word_ = (own.step() * kRows + own.row()) * kStep +
            (kWidth == 4 ? neighbour : neighbour % kWarpSize * 4 + neighbour / kWarpSize);
  }

  template <int kCount>
  __device__ void begin_stage(float* memory) {
    using Own = Threads<kCount>;
    NEURONA_UNROLL
    for (int step = 0; step < kStageSteps; step += Own::kStepsAtOnce) {
      NEURONA_UNROLL
      for (int row = 0; row < kRows; row += Own::kRowsAtOnce) {
        thin_.begin_to_copy<kCount>(memory + word_ + (step * kRows + row) * kStep, from_,
                                    place_ < length_ && row < rows_left_);
        from_ += Own::kRowsAtOnce * thin_.row_stride;
      }
      place_ += Own::kStepsAtOnce * kStep;
      from_ += Own::kStepsAtOnce * kStep * thin_.depth_stride - kRows * thin_.row_stride;
    }
  }

  const ThinRows& thin_;
  const float* from_;
  int rows_left_;
  // Of the next copy, in the slice: of what lies before it, the place is so large a number.
  unsigned place_, length_;
  int word_;
};

// Walks along the lines of a matrix that lies along the depth, 128 elements (a step) at a time.
// What a lane reads of the thin rows serves as many products as the warp has lines. With 16 rows
// shared memory would be busy with that for two thirds of the time if there were 4.
template <int kRows, int kWidth>
class SumsAlongDepth {
 public:
  using Matrix = DenseSource<true>;
  static constexpr int kLinesOfWarp = kRows < 16 ? 4 : 8, kLines = kLinesOfWarp * kThinWarps,
                       kGroups = 1;
  static constexpr int kStep = 4 * kWarpSize;
  // Steps that are under way, and those whose thin rows lie in shared memory together.
  static constexpr int kAhead = kRows > 2 ? 2 : 4, kStageSteps = std::max(kAhead, 16 / kRows);
  using Stages = ThinStages<kRows, kWidth, kStageSteps>;
  static constexpr int kSharedFloats = 2 * Stages::kStage;
  static constexpr int kRoundRows = kRows;  // of which put() gives the sums

  __device__ SumsAlongDepth(const Matrix& matrix, const ThinRows& thin, int64_t first_line,
                            int64_t begin, int64_t end, float* memory)
      : memory_(memory), rows_word_(4 * thin_lane()), steps_(begin, end), stages_(thin, steps_) {
    NEURONA_UNROLL
    for (int i = 0; i < kLinesOfWarp; ++i)
      lines_[i] = matrix.line(0, first_line + thin_warp() * kLinesOfWarp + i) + steps_.first_k;
  }

  __device__ void walk() {
    stages_.begin_next(memory_);
    FourElements elements[kAhead][kLinesOfWarp];
    NEURONA_UNROLL
    for (int step = 0; step < kAhead; ++step) {
      NEURONA_UNROLL
      for (int i = 0; i < kLinesOfWarp; ++i) elements[step][i] = first_elements(lines_[i], step);
    }
    for (int left = steps_.count; left > 0; left -= kAhead) {
      const int of_stage = kAhead == kStageSteps ? 0 : (steps_.count - left) % kStageSteps;
      if (of_stage == 0) {
        wait_for_copies<0>();
        __syncthreads();  // behind it nobody reads the stage before
        if (left < steps_.count) rows_word_ ^= Stages::kStage;
        if (left > kStageSteps) stages_.begin_next(memory_);
      }
      NEURONA_UNROLL
      for (int i = 0; i < kLinesOfWarp; ++i) lines_[i] += kAhead * kStep;
      NEURONA_UNROLL
      for (int ahead = 0; ahead < kAhead; ++ahead) {
        if (ahead >= left) break;
        multiply(of_stage + ahead, elements[ahead]);
        if (ahead + kAhead >= left) continue;
        NEURONA_UNROLL
        for (int i = 0; i < kLinesOfWarp; ++i)
          elements[ahead][i] = load_own(lines_[i] + ahead * kStep);
      }
    }
  }

  // The sums of all lanes, as [row][line].
  __device__ void put(float* to, int /* there is one round */) {
    int first = 0;
    add_lanes<kSums, kWarpSize / 2>(first);
    NEURONA_UNROLL
    for (int i = 0; i < kSumsLeft; ++i) {
      const int number = first + i;
      to[number % kRows * kLines + thin_warp() * kLinesOfWarp + number / kRows] = sums_[i];
    }
  }

 private:
  static constexpr int kSums = kLinesOfWarp * kRows,
                       kSumsLeft = std::max(kSums / kWarpSize, 1);  // of a lane, of all lanes

  // Of kCount sums, the first of which has this number, a lane gives half to one that is kDistance
  // away, which keeps these and gives it the others. Where there is but one, both add it.
  template <int kCount, int kDistance>
  __device__ void add_lanes(int& first) {
    const bool is_upper = thin_lane() & kDistance;
    if constexpr (kCount > 1) {
      NEURONA_UNROLL
      for (int i = 0; i < kCount / 2; ++i) {
        const float lower = sums_[i], upper = sums_[i + kCount / 2];
        sums_[i] = (is_upper ? upper : lower) +
                   __shfl_xor_sync(kAllLanes, is_upper ? lower : upper, kDistance);
      }
      first += is_upper ? kCount / 2 : 0;
    } else {
      sums_[0] += __shfl_xor_sync(kAllLanes, sums_[0], kDistance);
    }
    if constexpr (kDistance > 1) add_lanes<kCount == 1 ? 1 : kCount / 2, kDistance / 2>(first);
  }

  __device__ static FourElements load_own(const float* line) {
    FourElements own;
    if constexpr (kWidth == 4) {
      load_four(line + own_neighbour<4>(0), own.at);
    } else {
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j) own.at[j] = line[own_neighbour<1>(j)];
    }
    return own;
  }
  __device__ FourElements first_elements(const float* line, int step) const {
    FourElements own{};
    if (step >= steps_.count) return own;
    if (step > 0) return load_own(line + step * kStep);
    if constexpr (kWidth == 4) {
      if (own_neighbour<4>(0) >= steps_.missing) own = load_own(line);
    } else {
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j)
        if (own_neighbour<1>(j) >= steps_.missing) own.at[j] = line[own_neighbour<1>(j)];
    }
    return own;
  }

  __device__ void multiply(int step, const FourElements (&elements)[kLinesOfWarp]) {
    const float* rows = memory_ + rows_word_ + step * kRows * kStep;
    NEURONA_UNROLL
    for (int row = 0; row < kRows; ++row) {
      float four[4];
      load_four(rows + row * kStep, four);
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j) {
        NEURONA_UNROLL
        for (int i = 0; i < kLinesOfWarp; ++i) {
          float& sum = sums_[i * kRows + row];
          sum = fmaf(elements[i].at[j], four[j], sum);
        }
      }
    }
  }

  float* memory_;
  int rows_word_;  // of the stage that is multiplied
  ThinSteps<kStep> steps_;
  Stages stages_;
  const float* lines_[kLinesOfWarp];
  float sums_[kSums] = {};  // [line][row]
};

}  // namespace neurona
