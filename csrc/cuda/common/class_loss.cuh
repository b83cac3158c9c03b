// What the losses of logits (N, C) against classes share.
#pragma once

#include "cuda/common/labels.cuh"
#include "cuda/common/line.cuh"
#include "cuda/common/total.cuh"
#include "ops/cross_entropy.h"

namespace neurona {

// What a row adds to the divisor of a mean: 0 when it is ignored, else the weight of its class, and
// 1 where there are no weights or no labels.
struct RowWeight {
  CheckedLabels labels;
  const float* weight;
  __device__ double operator()(int64_t row) const {
    if (!labels) return 1.0;
    const int64_t label = labels[row];
    return label == kIgnoredLabel ? 0.0 : weight ? weight[label] : 1.0;
  }
};

// What the sum of the losses is divided by. Its inverse is taken once, and not for every element:
// in double that is slow on most GPUs.
struct MeanDivisor {
  double value, inverse;
};

struct StoreMeanDivisor {
  MeanDivisor* divisor;
  __device__ void operator()(double value) const { *divisor = {value, 1 / value}; }
};

struct StoreLoss {
  const MeanDivisor* divisor;  // null for 1
  float* loss;
  __device__ void operator()(double sum) const {
    *loss = static_cast<float>(divisor ? sum / divisor->value : sum);
  }
};

// How the losses of rows become one. With few rows that is a part of the kernel that computes them:
// every block adds the weights of all rows for itself, and the last one adds the losses. Else other
// kernels do it, before and after. The sums have the same order either way.
struct RowLosses {
  int64_t rows;
  bool is_mean;
  RowWeight weight;
  const MeanDivisor* divisor;  // null where every block finds it
  float* losses;               // of each row
  float* loss;                 // null where the last block does not add them
  unsigned* counter;

  // Every thread of a block asks for it. Rows that take more threads are never together.
  template <int kThreads>
  __device__ MeanDivisor mean_divisor() const {
    if (!is_mean) return {1, 1};
    if (divisor || kThreads != kBlock) return *divisor;
    const double value = sum_of_rows(weight);
    return {value, 1 / value};
  }

  // Every thread calls it when the losses of the block's rows are written.
  template <int kThreads>
  __device__ void finish(const MeanDivisor& mean) const {
    if (kThreads != kBlock || !loss || !is_last_block(counter, gridDim.x)) return;
    const double sum = sum_of_rows(ElementOf<float>{losses});
    if (threadIdx.x == 0) *loss = static_cast<float>(sum / mean.value);
  }
  // The same where thread i of the only block has row i, whose loss is `own`: they need not go by
  // way of memory. 0 where there is no such row.
  __device__ void finish(const MeanDivisor& mean, float own) const {
    if (!loss || gridDim.x > 1) return finish<kBlock>(mean);
    const double sum = block_sum<kBlock>(0.0 + own);
    if (threadIdx.x == 0) *loss = static_cast<float>(sum / mean.value);
  }

 private:
  // As total() adds what one block can.
  template <typename Term>
  __device__ double sum_of_rows(const Term& term) const {
    double sum = 0;
    for (int64_t row = threadIdx.x; row < rows; row += kBlock) sum += term(row);
    return block_sum<kBlock>(sum);
  }
};

// The host's part of it; `loss` is what the op returns.
class LossReduction {
 public:
  LossReduction(const char* op, int64_t rows, int64_t classes, Reduction reduction,
                const RowWeight& weight, float* loss)
      : op_(op),
        together_(0 < rows && rows <= kTermsOfBlock && rows * classes <= kFewElements &&
                  classes <= kMostOfBlock),
        by_row_(reduction == Reduction::kNone),
        for_divisor_(reduction == Reduction::kMean && !together_ ? sizeof(MeanDivisor) : 0),
        for_losses_(by_row_ ? 0 : static_cast<size_t>(rows) * sizeof(float)),
        loss_(loss),
        rows_{rows,
              reduction == Reduction::kMean,
              weight,
              for_divisor_.as<MeanDivisor>(),
              by_row_ ? loss : for_losses_.as<float>(),
              together_ && !by_row_ ? loss : nullptr,
              block_counters()} {
    if (rows_.divisor) total(op_, rows, weight, StoreMeanDivisor{for_divisor_.as<MeanDivisor>()});
  }

  const RowLosses& rows() const { return rows_; }

  // After the kernel.
  void finish() const {
    if (!by_row_ && !together_)
      total(op_, rows_.rows, ElementOf<float>{rows_.losses}, StoreLoss{rows_.divisor, loss_});
  }

 private:
  // That each block reads all labels must cost less than another launch. Blocks have kBlock threads
  // up to kMostOfBlock classes.
  static constexpr int64_t kFewElements = int64_t{1} << 16;

  const char* op_;
  bool together_, by_row_;
  Workspace for_divisor_, for_losses_;
  float* loss_;
  RowLosses rows_;
};

struct Logit {
  const float* own_x;
  __device__ float operator()(const Spot& at) const { return own_x[at.offset]; }
};

template <typename Logits>
struct Power {
  Logits logit;
  float maximum;
  __device__ float operator()(const Spot& at) const { return expf(logit(at) - maximum); }
};

// The softmax of a row of logits: exp(x - maximum) / sum, power(spot) being the numerator.
template <typename Threads>
struct RowSoftmax {
  using Logits = Held<Threads, Logit>;

  float maximum;
  Held<Threads, Power<Logits>> power;
  float sum, log_sum;

  // own_x: the thread's elements, line.input().
  __device__ RowSoftmax(const Line<Threads>& line, const float* own_x)
      : RowSoftmax(line, line.held(Logit{own_x})) {}
  __device__ RowSoftmax(const Line<Threads>& line, const Logits& logits)
      : maximum(line.maximum(logits)),
        power(line.held(Power<Logits>{logits, maximum})),
        sum(static_cast<float>(line.sum(power))),
        log_sum(logf(sum)) {}

  // Not x - (maximum + log_sum), which would lose what is near 0.
  __device__ float minus_log(float logit) const { return log_sum - (logit - maximum); }
};

}  // namespace neurona
