// The sums of thin_rows.cuh where the matrix lies across the depth.
#pragma once

#include <algorithm>

#include "cuda/device.h"
#include "cuda/product/dense_source.cuh"
#include "cuda/product/plain_parts.cuh"
#include "cuda/product/thin_rows.cuh"

namespace neurona {

// Walks across the lines of a matrix, some depths (a step) at a time: as many as there are
// registers for are under way. Each warp has a piece of the depth.
template <int kRows, int kWidth>
class SumsAcrossDepth {
 public:
  using Matrix = DenseSource<false>;
  static constexpr int kLines = 4 * kWarpSize, kGroups = kThinWarps;
  static constexpr int kStep = kRows == 16 ? 16 : kRows == 8 && kWidth == 1 ? 6 : 8;
  // Steps whose thin rows come to shared memory together.
  static constexpr int kStageSteps = kRows == 16 ? 2 : 4, kStage = kStageSteps * kStep * kRows;
  static constexpr int kRoundRows = std::min(kRows, 8);  // of which put() gives the sums at once
  static constexpr int kSharedFloats = kThinWarps * std::max(2 * kStage, kRoundRows* kLines);

  __device__ SumsAcrossDepth(const Matrix& matrix, const ThinRows& thin, int64_t first_line,
                             int64_t begin, int64_t end, float* memory)
      : thin_(thin),
        memory_(memory + thin_warp() * 2 * kStage),
        stride_(matrix.stride),
        steps_(own_steps(begin, end)) {
    NEURONA_UNROLL
    for (int j = 0; j < kLoads; ++j)
      lines_[j] = matrix.line(0, first_line + own_neighbour<kWidth>(j)) + steps_.first_k * stride_;
  }

  __device__ void walk() {
    begin_stage(0);
    FourElements elements[kStep];
    NEURONA_UNROLL
    for (int depth = 0; depth < kStep; ++depth) {
      if (steps_.has(depth))
        elements[depth] = load_own();
      else
        elements[depth] = {};
      next_depth();
    }
    for (int first = 0; first < steps_.count; first += kStageSteps) {
      __syncwarp();  // behind it no lane reads the stage that comes now
      begin_stage(first / kStageSteps + 1);
      wait_for_copies<1>();
      __syncwarp();
      const float* rows = memory_ + first / kStageSteps % 2 * kStage;
      NEURONA_NO_UNROLL
      for (int step = first; step < min(first + kStageSteps, steps_.count); ++step) {
        const bool is_last = step + 1 == steps_.count;
        NEURONA_UNROLL
        for (int depth = 0; depth < kStep; ++depth) {
          multiply(rows, depth, elements[depth]);
          if (!is_last) elements[depth] = load_own();
          next_depth();
        }
        rows += kStep * kRows;
      }
    }
  }

  // The warps' sums of kRoundRows rows, as [warp][row][line].
  __device__ void put(float* to, int round) const {
    NEURONA_UNROLL
    for (int i = 0; i < kRows; ++i) {
      if (i / kRoundRows != round) continue;
      float* row = to + (thin_warp() * kRoundRows + i % kRoundRows) * kLines;
      if constexpr (kWidth == 4) {
        *reinterpret_cast<float4*>(row + own_neighbour<4>(0)) =
            make_float4(sums_[i][0], sums_[i][1], sums_[i][2], sums_[i][3]);
      } else {
        NEURONA_UNROLL
        for (int j = 0; j < 4; ++j) row[own_neighbour<1>(j)] = sums_[i][j];
      }
    }
  }

 private:
  static constexpr int kLoads = 4 / kWidth, kFours = divide_up(kRows, 4);

  // Those of the warp's piece.
  __device__ static ThinSteps<kStep> own_steps(int64_t begin, int64_t end) {
    constexpr int kDepths = kThinWarps * kStep;
    const int64_t piece = (end - begin + kDepths - 1) / kDepths * kStep,
                  own_begin = min(begin + thin_warp() * piece, end);
    return {own_begin, min(own_begin + piece, end)};
  }
  __device__ FourElements load_own() const {
    FourElements own;
    if constexpr (kWidth == 4) {
      load_four(lines_[0], own.at);
    } else {
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j) own.at[j] = *lines_[j];
    }
    return own;
  }
  __device__ void next_depth() {
    NEURONA_UNROLL
    for (int j = 0; j < kLoads; ++j) lines_[j] += stride_;
  }

  // The thin rows of kStageSteps, as [depth][row], if there are any: beyond the end a group of
  // nothing, so that waits count it alike.
  __device__ void begin_stage(int stage) const {
    if (stage * kStageSteps < steps_.count) {
      constexpr int kDepthsAtOnce = kWarpSize / kRows;
      const int row = thin_lane() % kRows;
      int place = stage * kStageSteps * kStep + thin_lane() / kRows;
      const float* from = thin_.address(row, steps_.first_k + place);
      float* to = memory_ + stage % 2 * kStage + thin_lane();
      NEURONA_UNROLL
      for (int i = 0; i < kStage / kWarpSize; ++i) {
        thin_.begin_to_copy<1>(to + i * kWarpSize, from, steps_.has(place) && row < thin_.count);
        place += kDepthsAtOnce;
        from += kDepthsAtOnce * thin_.depth_stride;
      }
    }
    commit_copies();
  }

  // Of fewer than 4 rows a load brings those of several depths.
  __device__ void multiply(const float* rows, int depth, const FourElements& elements) {
    if (depth * kRows % 4 == 0) {
      NEURONA_UNROLL
      for (int i = 0; i < kFours; ++i) load_four(rows + depth * kRows + 4 * i, thin_elements_[i]);
    }
    NEURONA_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const int number = depth * kRows % 4 + i;
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j)
        sums_[i][j] = fmaf(elements.at[j], thin_elements_[number / 4][number % 4], sums_[i][j]);
    }
  }

  const ThinRows& thin_;
  float* memory_;
  int64_t stride_;
  ThinSteps<kStep> steps_;
  const float* lines_[kLoads];
  float thin_elements_[kFours][4];
  float sums_[kRows][4] = {};  // of lines
};

}  // namespace neurona
