// For row i with logits x (C,), class weights w (C,) and smoothing e:
//
//   loss = -sum_c a_c log_softmax(x)_c        dx_c = softmax(x)_c A - a_c,  A = sum_c a_c
//   class t:            a_c = (1 - e) w_t [c = t] + e / C w_c
//   probabilities t_c:  a_c = w_c ((1 - e) t_c + e / C)
//
// "mean" divides by the sum of w_t over the rows that are not ignored, or by N for probabilities;
// that sum must be known before any gradient. One kernel then gives the losses of the rows and dx,
// and another their sum. loss and dx are overwritten; rows whose class is ignored get zeros.
#include "ops/cross_entropy.h"

#include "cuda/class_loss.cuh"

namespace neurona {
namespace {

constexpr const char* kOp = "cross_entropy";

struct Problem {
  int64_t n, c;
  const float* x;
  const int64_t* labels;       // null for probabilities
  const float* probabilities;  // null for labels
  const float* weight;         // null for 1
  float kept, even;            // 1 - e and e / C
  const MeanDivisor* divisor;  // null for 1
  float* losses;
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

template <typename Threads>
__global__ void cross_entropy_kernel(Problem problem) {
  const float* x = problem.x;
  const Line<Threads> line(AxisView{problem.n, problem.c, 1});
  const int64_t row = line.number(), begin = row * problem.c;
  const bool is_row = row < problem.n;
  const RowSoftmax<Threads> softmax(line, x);

  const int64_t label = is_row && problem.labels ? problem.labels[row] : kIgnoredLabel;
  const bool counts = is_row && (!problem.labels || label != kIgnoredLabel);
  const int64_t own = label == kIgnoredLabel ? -1 : begin + label;
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
    problem.losses[row] = counts ? static_cast<float>(loss) : 0.0f;
  if (!problem.dx) return;

  const double scale = problem.divisor ? problem.divisor->inverse : 1.0;
  const float factor = static_cast<float>(total_share * scale) / softmax.sum,
              own_part = static_cast<float>(own_share * scale), every = static_cast<float>(scale);
  const auto slope = [&](float power, int64_t i) {
    return i == own ? power * factor - own_part : power * factor;
  };
  if (problem.all_classes()) {
    line.for_each_from_memory([&](int64_t i) {
      const float rising = slope(expf(x[i] - softmax.maximum), i);
      problem.dx[i] = counts ? rising - problem.share(i, begin) * every : 0.0f;
    });
  } else {
    line.for_each([&](const Spot& at) {
      problem.dx[at.index] = counts ? slope(softmax.power(at), at.index) : 0.0f;
    });
  }
}

}  // namespace

void cross_entropy(const float* x, int64_t n, int64_t c, const CrossEntropyTarget& target,
                   const CrossEntropyOptions& options, float* loss, float* dx) {
  const Workspace labels(target.labels ? n * sizeof(int64_t) : 0);
  read_labels(kOp, {target.labels, target.label_bytes, target.label_signed}, n,
              {c, options.weight, options.ignore_index}, labels.as<int64_t>());
  const bool is_mean = options.reduction == Reduction::kMean,
             by_row = options.reduction == Reduction::kNone;
  const Workspace for_divisor(is_mean ? sizeof(MeanDivisor) : 0),
      for_losses(by_row ? 0 : n * sizeof(float));
  auto* divisor = for_divisor.as<MeanDivisor>();
  if (is_mean)
    total(kOp, n, RowWeight{labels.as<int64_t>(), options.weight}, StoreMeanDivisor{divisor});
  const Problem problem{n,
                        c,
                        x,
                        labels.as<int64_t>(),
                        target.probabilities,
                        options.weight,
                        static_cast<float>(1 - options.label_smoothing),
                        static_cast<float>(options.label_smoothing / static_cast<double>(c)),
                        divisor,
                        by_row ? loss : for_losses.as<float>(),
                        dx};
  with_row_threads(c, [&](auto threads) {
    using Threads = decltype(threads);
    launch(kOp, cross_entropy_kernel<Threads>, Threads::shape({n, c, 1}), problem);
  });
  if (!by_row) total(kOp, n, ElementOf<float>{problem.losses}, StoreLoss{divisor, loss});
}

}  // namespace neurona
