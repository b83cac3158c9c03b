// What the losses of logits (N, C) against classes share.
#pragma once

#include "cuda/line.cuh"
#include "cuda/total.cuh"
#include "ops/labels.h"

namespace neurona {

// What a row adds to the divisor of a mean: 0 when it is ignored, else the weight of its class, and
// 1 where there are no weights or no labels.
struct RowWeight {
  const int64_t* labels;
  const float* weight;
  __device__ double operator()(int64_t row) const {
    if (!labels) return 1.0;
    const int64_t label = labels[row];
    return label == kIgnoredLabel ? 0.0 : weight ? weight[label] : 1.0;
  }
};

// What the sum of the losses is divided by. Its inverse is taken once, and not by every thread: in
// double that is slow on most GPUs.
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

struct Logit {
  const float* x;
  __device__ float operator()(const Spot& at) const { return x[at.index]; }
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
  using Logits = Held<Threads::kHeld, Logit>;

  float maximum;
  Held<Threads::kHeld, Power<Logits>> power;
  float sum, log_sum;

  __device__ RowSoftmax(const Line<Threads>& line, const float* x)
      : RowSoftmax(line, line.held(Logit{x})) {}
  __device__ RowSoftmax(const Line<Threads>& line, const Logits& logits)
      : maximum(line.maximum(logits)),
        power(line.held(Power<Logits>{logits, maximum})),
        sum(static_cast<float>(line.sum(power))),
        log_sum(logf(sum)) {}

  // Not x - (maximum + log_sum), which would lose what is near 0.
  __device__ float minus_log(float logit) const { return log_sum - (logit - maximum); }
};

}  // namespace neurona
