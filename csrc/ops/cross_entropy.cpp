// For row i with logits x (C,), class weights w (C,) and smoothing e:
//
//   loss = -sum_c a_c log_softmax(x)_c        dx_c = softmax(x)_c A - a_c,  A = sum_c a_c
//   class t:            a_c = (1 - e) w_t [c = t] + e / C w_c
//   probabilities t_c:  a_c = w_c ((1 - e) t_c + e / C)
//
// "mean" divides by the sum of w_t over the rows that are not ignored, or by N for probabilities.
// The kernel gives softmax(x) times A, and the maximum and sum of each row; what remains is one
// element per row (two short loops with smoothing or probabilities). log_softmax(x)_c is (x_c -
// max) - log(sum), which stays accurate when the loss is near 0. loss and dx are overwritten; rows
// whose class is ignored get zeros.
#include "ops/cross_entropy.h"

#include <algorithm>
#include <numeric>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/labels.h"

namespace neurona {
namespace {

constexpr const char* kOp = "cross_entropy";
// Rows per call of the kernel: a multiple of every vector width, statistics on the stack, 64 KiB of
// logits at most.
constexpr int64_t kBlockRows = 64, kBlockFloats = 16384;

// What all rows share.
struct Problem {
  const float* x;
  int64_t c;
  const int64_t* labels;       // null for probabilities
  const float* probabilities;  // null for labels
  const float* weight;
  double weight_sum, smoothing;
  float* dx;
  double gradient_scale;  // 1 / divisor for "mean", else 1

  double class_weight(int64_t i) const { return weight ? weight[i] : 1.0; }
  double even_share() const { return smoothing / static_cast<double>(c); }

  // a_c of a row of probabilities.
  double share(int64_t row, int64_t i) const {
    return class_weight(i) * ((1 - smoothing) * probabilities[row * c + i] + even_share());
  }

  double total_share(int64_t row) const {
    if (labels)
      return labels[row] == kIgnoredLabel
                 ? 0
                 : (1 - smoothing) * class_weight(labels[row]) + even_share() * weight_sum;
    double total = 0;
    for (int64_t i = 0; i < c; ++i) total += share(row, i);
    return total;
  }

  // The loss of a row, and the subtraction of a_c from its gradient.
  float finish_row(int64_t row, float maximum, float log_sum) const {
    const float* logits = x + row * c;
    float* gradient = dx ? dx + row * c : nullptr;
    const auto minus_log_softmax = [&](int64_t i) {
      return static_cast<double>(log_sum) - (logits[i] - maximum);
    };
    if (labels && labels[row] == kIgnoredLabel) {
      if (gradient) std::fill_n(gradient, c, 0.0f);
      return 0;
    }
    double loss = 0;
    if (labels) {
      const int64_t label = labels[row];
      const double a = (1 - smoothing) * class_weight(label);
      loss = a * minus_log_softmax(label);
      if (gradient) gradient[label] -= static_cast<float>(a * gradient_scale);
      // The other classes enter only through smoothing: without it, a logit of -inf elsewhere must
      // not give 0 * inf.
      if (smoothing > 0) {
        for (int64_t i = 0; i < c; ++i)
          loss += even_share() * class_weight(i) * minus_log_softmax(i);
        if (gradient)
          for (int64_t i = 0; i < c; ++i)
            gradient[i] -= static_cast<float>(even_share() * class_weight(i) * gradient_scale);
      }
    } else {
      for (int64_t i = 0; i < c; ++i) loss += share(row, i) * minus_log_softmax(i);
      if (gradient)
        for (int64_t i = 0; i < c; ++i)
          gradient[i] -= static_cast<float>(share(row, i) * gradient_scale);
    }
    return static_cast<float>(loss);
  }

  void rows(int64_t begin, int64_t end, float* losses) const {
    const SoftmaxKernels& kernel = kernels().softmax;
    const int64_t step = std::clamp<int64_t>(kBlockFloats / c, 1, kBlockRows);
    for (int64_t first = begin; first < end; first += step) {
      const int64_t count = std::min(step, end - first);
      float scale[kBlockRows], maximum[kBlockRows], sum[kBlockRows];
      for (int64_t i = 0; dx && i < count; ++i)
        scale[i] = static_cast<float>(total_share(first + i) * gradient_scale);
      kernel.softmax_rows(x + first * c, dx ? dx + first * c : nullptr, count, c,
                          {dx ? scale : nullptr, maximum, sum});
      kernel.logarithm(sum, sum, count);
      for (int64_t i = 0; i < count; ++i)
        losses[first + i] = finish_row(first + i, maximum[i], sum[i]);
    }
  }
};

}  // namespace

void cross_entropy(const float* x, int64_t n, int64_t c, const CrossEntropyTarget& target,
                   const CrossEntropyOptions& options, float* loss, float* dx) {
  const Scratch<int64_t> labels(target.labels ? n : 0);
  read_labels(kOp, {target.labels, target.label_bytes, target.label_signed}, n,
              {c, options.weight, options.ignore_index}, labels.data());
  const double weight_sum = options.weight
                                ? std::accumulate(options.weight, options.weight + c, 0.0)
                                : static_cast<double>(c);
  const Scratch<float> row_losses(options.reduction == Reduction::kNone ? 0 : n);
  float* losses = options.reduction == Reduction::kNone ? loss : row_losses.data();

  Problem problem{x,
                  c,
                  target.labels ? labels.data() : nullptr,
                  target.probabilities,
                  options.weight,
                  weight_sum,
                  options.label_smoothing,
                  dx,
                  1.0};
  double divisor = 1;
  if (options.reduction == Reduction::kMean) {
    divisor = target.labels ? 0 : static_cast<double>(n);
    for (int64_t i = 0; target.labels && i < n; ++i)
      if (labels[i] != kIgnoredLabel) divisor += problem.class_weight(labels[i]);
    problem.gradient_scale = 1 / divisor;
  }
  parallel_for(n, grain_for(c * 16),
               [&](int64_t begin, int64_t end) { problem.rows(begin, end, losses); });
  if (options.reduction == Reduction::kNone) return;
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += losses[i];
  *loss = static_cast<float>(total / divisor);
}

}  // namespace neurona
