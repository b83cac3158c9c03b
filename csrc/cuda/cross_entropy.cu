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

#include "cuda/common/class_loss.cuh"

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
  // Whether they all enter alike, but for the row's own.
  __device__ bool all_alike() const { return labels && !weight; }

  // a_c of the element, c, of the row that begins there; of a label without what its own class has
  // beyond the others.
  __device__ float share(int64_t begin, int64_t element) const {
    return class_weight(element) *
           (labels ? even : fmaf(kept, probabilities[begin + element], even));
  }
};

// What a row's loss and gradient are made of. The thread's elements are x[offset], of which the
// first is element `first` of the row; own is where that of the row's class is, or negative.
template <typename Threads>
struct Row {
  Line<Threads> line;
  const float* x;
  int64_t begin, first, own;
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
  float* dx = row.line.output(problem.dx);
  if (problem.all_classes() && !problem.all_alike()) {
    row.line.for_each_from_memory([&](int64_t offset) {
      const float rising = expf(row.x[offset] - softmax.maximum) * factor,
                  with_own = offset == row.own ? rising - own_part : rising,
                  share = problem.share(row.begin, row.first + offset);
      dx[offset] = row.counts ? with_own - share * every : 0.0f;
    });
  } else {
    const float share = problem.even * every;
    row.line.for_each([&](const Spot& at) {
      const float rising = softmax.power(at) * factor,
                  with_own = at.offset == row.own ? rising - own_part : rising;
      dx[at.offset] = row.counts ? with_own - share : 0.0f;
    });
  }
  row.line.finish(problem.dx);
}

template <typename Threads>
__global__ void __launch_bounds__(Threads::kBlockThreads, 1) cross_entropy_kernel(Problem problem) {
  wait_for_earlier_kernels();
  const Line<Threads> line(AxisView{problem.n, problem.c, 1});
  const int64_t number = line.number(), begin = number * problem.c, first = line.first() - begin;
  const bool is_row = number < problem.n;
  const float* x = line.input(problem.x);
  const RowSoftmax<Threads> softmax(line, x);
  const MeanDivisor divisor = problem.losses.mean_divisor<Threads::kBlockThreads>();

  const int64_t label = is_row && problem.labels ? problem.labels[number] : kIgnoredLabel;
  const bool has_class = label != kIgnoredLabel, counts = is_row && (!problem.labels || has_class);
  const int64_t own = has_class ? label - first : -1;
  const float own_share = has_class ? problem.kept * problem.class_weight(label) : 0.0f;
  double loss = has_class ? static_cast<double>(own_share) * softmax.minus_log(x[own]) : 0.0,
         total_share = own_share;
  if (problem.all_classes()) {
    loss += line.sum_from_memory([&](int64_t offset) {
      return problem.share(begin, first + offset) * softmax.minus_log(x[offset]);
    });
    if (problem.dx)
      total_share += problem.all_alike() ? static_cast<double>(problem.c) * problem.even
                                         : line.sum_from_memory([&](int64_t offset) {
                                             return problem.share(begin, first + offset);
                                           });
  }
  const float own_loss = counts ? static_cast<float>(loss) : 0.0f;
  if (is_row && line.is_first_thread()) problem.losses.losses[number] = own_loss;
  if (problem.dx)
    store_gradient(problem,
                   Row<Threads>{line, x, begin, first, own, counts, own_share, total_share},
                   softmax, divisor.inverse);
  if constexpr (Threads::kIsStaged)
    problem.losses.finish(divisor, own_loss);
  else
    problem.losses.finish<Threads::kBlockThreads>(divisor);
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
    launch(kOp, cross_entropy_kernel<Threads>, overlapping(Threads::shape({n, c, 1}, 1)), problem);
  });
  reduction.finish();
  checks.check();
}

}  // namespace neurona
