// For row i with logits x (C,), class t, class weights w (C,) and p = softmax(x)_t:
//
//   loss = -w_t (1 - p)^gamma log p          dx_c = g ([c = t] - softmax(x)_c)
//   g = w_t (gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma)
//
// "mean" divides by the rows that are not ignored, which are counted first. What depends on p is
// one number per row, computed in double: 1 - p is -expm1(log p), without cancellation where p is
// near 1. loss and dx are overwritten; rows whose class is ignored get zeros.
#include "ops/focal_loss.h"

#include "cuda/class_loss.cuh"

namespace neurona {
namespace {

constexpr const char* kOp = "focal_loss";

__device__ inline double power(double base, double exponent) {
  return exponent == 2 ? base * base : exponent == 1 ? base : pow(base, exponent);
}

struct Focus {
  double loss, slope, rest;  // rest = 1 - p
};

__device__ inline Focus focus(double log_p, double weight, double gamma) {
  // A logit of -inf costs nothing where the class does not count.
  if (weight == 0) return {0, 0, 0};
  const double rest = -expm1(log_p), factor = power(rest, gamma);
  // At p = 1 this term tends to 0, though its power may be infinite.
  const double rising = rest == 0 ? 0 : gamma * power(rest, gamma - 1) * exp(log_p) * log_p;
  return {-weight * factor * log_p, weight * (rising - factor), rest};
}

struct Problem {
  int64_t n, c;
  const float* x;
  CheckedLabels labels;
  const float* weight;  // null for 1
  double gamma;
  RowLosses losses;
  float* dx;  // or null
};

template <typename Threads>
__global__ void focal_loss_kernel(Problem problem) {
  wait_for_earlier_kernels();
  const float* x = problem.x;
  const Line<Threads> line(AxisView{problem.n, problem.c, 1});
  const int64_t row = line.number();
  const RowSoftmax<Threads> softmax(line, x);
  const MeanDivisor divisor = problem.losses.mean_divisor();

  const int64_t label = row < problem.n ? problem.labels[row] : kIgnoredLabel,
                own = row * problem.c + label;
  const bool counts = label != kIgnoredLabel;
  Focus found{0, 0, 0};
  if (counts)
    found = focus(static_cast<double>(x[own] - softmax.maximum) - softmax.log_sum,
                  problem.weight ? problem.weight[label] : 1.0, problem.gamma);
  if (row < problem.n && line.is_first_thread())
    problem.losses.losses[row] = static_cast<float>(found.loss);
  if (problem.dx) {
    const double slope = found.slope * divisor.inverse;
    const float factor = static_cast<float>(-slope),
                of_own = static_cast<float>(slope * found.rest), share = 1.0f / softmax.sum;
    float* dx = line.own(problem.dx);
    const int64_t own_offset = own - line.first();
    line.for_each([&](const Spot& at) {
      dx[at.offset] = !counts                   ? 0.0f
                      : at.offset == own_offset ? of_own
                                                : softmax.power(at) * share * factor;
    });
  }
  problem.losses.finish(divisor);
}

}  // namespace

void focal_loss(const float* x, int64_t n, int64_t c, const Labels& target,
                const FocalLossOptions& options, float* loss, float* dx) {
  const LabelChecks checks(kOp, target, {c, options.weight, options.ignore_index});
  const LossReduction reduction(kOp, n, c, options.reduction, {checks.labels(), nullptr}, loss);
  const Problem problem{n, c, x, checks.labels(), options.weight, options.gamma, reduction.rows(),
                        dx};
  with_row_threads(c, [&](auto threads) {
    using Threads = decltype(threads);
    launch(kOp, focal_loss_kernel<Threads>, overlapping(Threads::shape({n, c, 1})), problem);
  });
  reduction.finish();
  checks.check();
}

}  // namespace neurona
