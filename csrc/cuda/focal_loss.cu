// For row i with logits x (C,), class t, class weights w (C,) and p = softmax(x)_t:
//
//   loss = -w_t (1 - p)^gamma log p          dx_c = g ([c = t] - softmax(x)_c)
//   g = w_t (gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma)
//
// "mean" divides by the rows that are not ignored, which are counted first. 1 - p is -expm1(log p),
// without cancellation where p is near 1. loss and dx are overwritten; rows whose class is ignored
// get zeros.
#include "ops/focal_loss.h"

#include "cuda/common/class_loss.cuh"

namespace neurona {
namespace {

constexpr const char* kOp = "focal_loss";

__device__ inline float power(float base, float exponent) {
  return exponent == 2 ? base * base : exponent == 1 ? base : powf(base, exponent);
}

struct Focus {
  float loss, slope, rest;  // rest = 1 - p
};

__device__ inline Focus focus(float log_p, float weight, float gamma) {
  // A logit of -inf costs nothing where the class does not count.
  if (weight == 0) return {0, 0, 0};
  const float rest = -expm1f(log_p), factor = power(rest, gamma);
  // At p = 1 this term tends to 0, though its power may be infinite.
  const float rising = rest == 0 ? 0 : gamma * power(rest, gamma - 1) * expf(log_p) * log_p;
  return {-weight * factor * log_p, weight * (rising - factor), rest};
}

struct Problem {
  int64_t n, c;
  const float* x;
  CheckedLabels labels;
  const float* weight;  // null for 1
  float gamma;
  RowLosses losses;
  float* dx;  // or null
};

template <typename Threads>
__global__ void __launch_bounds__(Threads::kBlockThreads, 1) focal_loss_kernel(Problem problem) {
  wait_for_earlier_kernels();
  const Line<Threads> line(AxisView{problem.n, problem.c, 1});
  const int64_t row = line.number();
  const float* x = line.input(problem.x);
  const RowSoftmax<Threads> softmax(line, x);
  const MeanDivisor divisor = problem.losses.mean_divisor<Threads::kBlockThreads>();

  const int64_t label = row < problem.n ? problem.labels[row] : kIgnoredLabel,
                own = row * problem.c + label - line.first();
  const bool counts = label != kIgnoredLabel;
  Focus found{0, 0, 0};
  if (counts)
    found = focus((x[own] - softmax.maximum) - softmax.log_sum,
                  problem.weight ? problem.weight[label] : 1.0f, problem.gamma);
  if (row < problem.n && line.is_first_thread()) problem.losses.losses[row] = found.loss;
  if (problem.dx) {
    const double slope = found.slope * divisor.inverse;
    const float factor = static_cast<float>(-slope),
                of_own = static_cast<float>(slope * found.rest), share = 1.0f / softmax.sum;
    float* dx = line.output(problem.dx);
    line.for_each([&](const Spot& at) {
      dx[at.offset] = !counts            ? 0.0f
                      : at.offset == own ? of_own
                                         : softmax.power(at) * share * factor;
    });
    line.finish(problem.dx);
  }
  problem.losses.finish<Threads::kBlockThreads>(divisor);
}

}  // namespace

void focal_loss(const float* x, int64_t n, int64_t c, const Labels& target,
                const FocalLossOptions& options, float* loss, float* dx) {
  const LabelChecks checks(kOp, target, {c, options.weight, options.ignore_index});
  const LossReduction reduction(kOp, n, c, options.reduction, {checks.labels(), nullptr}, loss);
  const Problem problem{
      n, c, x, checks.labels(), options.weight, static_cast<float>(options.gamma), reduction.rows(),
      dx};
  with_row_threads(c, [&](auto threads) {
    using Threads = decltype(threads);
    launch(kOp, focal_loss_kernel<Threads>, overlapping(Threads::shape({n, c, 1}, 1)), problem);
  });
  reduction.finish();
  checks.check();
}

}  // namespace neurona
