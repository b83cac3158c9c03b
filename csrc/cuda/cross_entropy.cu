// For row i with logits x (C,), class weights w (C,) and smoothing e:
//
//   loss = -sum_c a_c log_softmax(x)_c        dx_c = softmax(x)_c A - a_c,  A = sum_c a_c
//   class t:            a_c = (1 - e) w_t [c = t] + e / C w_c
//   probabilities t_c:  a_c = w_c ((1 - e) t_c + e / C)
//
// "mean" divides by the sum of w_t over the rows that are not ignored, or by N for probabilities;
// that sum must be known before any gradient. One kernel gives the losses of the rows and dx, and
// of few rows also that sum and the loss (class_loss.cuh). loss and dx are overwritten; rows whose
// class is ignored get zeros.
#include "ops/cross_entropy.h"

#include "cuda/class_loss.cuh"

namespace neurona {
namespace {

constexpr const char* kOp = "cross_entropy";

struct Problem {
  int64_t n, c;
  const float* x;
  CheckedLabels labels;        // none for probabilities
  const float* probabilities;  // null for labels
  const float* weight;         // null for 1
  float kept, even;            // 1 - e and e / C
  RowLosses losses;
  float* dx;  // or null

  __device__ float class_weight(int64_t i) const { return weight ? weight[i] : 1.0f; }

  // Whether classes other than the row's own enter. Where they do not, a logit of -inf among them
  // must not give 0 * inf.
  __device__ bool all_classes() const { return !labels || even > 0; }

  // a_c of element i, c = i - begin; of a label without what its own class has beyond the others.
  __device__ float share(int64_t i, int64_t begin) const {
    return class_weight(i - begin) * (labels ? even : fmaf(kept, probabilities[i], even));
  }
};

// What a row's loss and gradient are made of.
template <typename Threads>
struct Row {
  Line<Threads> line;
  int64_t begin, own;  // the first element, and that of the row's class or -1
  bool counts;
  float own_share;
  double total_share;
};

template <typename Threads>
__device__ void store_gradient(const Problem& problem, const Row<Threads>& row,
                               const RowSoftmax<Threads>& softmax, double scale) {
  const float factor = static_cast<float>(row.total_share * scale) / softmax.sum,
              own_part = static_cast<float>(row.own_share * scale),
              every = static_cast<float>(scale);
  if (problem.all_classes()) {
    row.line.for_each_from_memory([&](int64_t i) {
      const float rising = expf(problem.x[i] - softmax.maximum) * factor,
                  with_own = i == row.own ? rising - own_part : rising;
      problem.dx[i] = row.counts ? with_own - problem.share(i, row.begin) * every : 0.0f;
    });
  } else {
    float* dx = row.line.own(problem.dx);
    const int64_t own_offset = row.own - row.line.first();
    row.line.for_each([&](const Spot& at) {
      const float rising = softmax.power(at) * factor;
      dx[at.offset] = !row.counts ? 0.0f : at.offset == own_offset ? rising - own_part : rising;
    });
  }
}

template <typename Threads>
__global__ void cross_entropy_kernel(Problem problem) {
  wait_for_earlier_kernels();
  const float* x = problem.x;
  const Line<Threads> line(AxisView{problem.n, problem.c, 1});
  const int64_t number = line.number(), begin = number * problem.c;
  const bool is_row = number < problem.n;
  const RowSoftmax<Threads> softmax(line, x);
  const MeanDivisor divisor = problem.losses.mean_divisor();

  const int64_t label = is_row && problem.labels ? problem.labels[number] : kIgnoredLabel,
                own = label == kIgnoredLabel ? -1 : begin + label;
  const bool counts = is_row && (!problem.labels || label != kIgnoredLabel);
  const float own_share = own < 0 ? 0.0f : problem.kept * problem.class_weight(label);
  double loss = own < 0 ? 0.0 : static_cast<double>(own_share) * softmax.minus_log(x[own]),
         total_share = own_share;
  if (problem.all_classes()) {
    loss += line.sum_from_memory(
        [&](int64_t i) { return problem.share(i, begin) * softmax.minus_log(x[i]); });
    if (problem.dx)
      total_share += line.sum_from_memory([&](int64_t i) { return problem.share(i, begin); });
  }
  if (is_row && line.is_first_thread())
    problem.losses.losses[number] = counts ? static_cast<float>(loss) : 0.0f;
  if (problem.dx)
    store_gradient(problem, Row<Threads>{line, begin, own, counts, own_share, total_share}, softmax,
                   divisor.inverse);
  problem.losses.finish(divisor);
}

}  // namespace

void cross_entropy(const float* x, int64_t n, int64_t c, const CrossEntropyTarget& target,
                   const CrossEntropyOptions& options, float* loss, float* dx) {
  const LabelChecks checks(kOp, {target.labels, target.label_bytes, target.label_signed},
                           {c, options.weight, options.ignore_index});
  const LossReduction reduction(kOp, n, c, options.reduction, {checks.labels(), options.weight},
                                loss);
  const Problem problem{n,
                        c,
                        x,
                        checks.labels(),
                        target.probabilities,
                        options.weight,
                        static_cast<float>(1 - options.label_smoothing),
                        static_cast<float>(options.label_smoothing / static_cast<double>(c)),
                        reduction.rows(),
                        dx};
  with_row_threads(c, [&](auto threads) {
    using Threads = decltype(threads);
    launch(kOp, cross_entropy_kernel<Threads>, overlapping(Threads::shape({n, c, 1})), problem);
  });
  reduction.finish();
  checks.check();
}

}  // namespace neurona
