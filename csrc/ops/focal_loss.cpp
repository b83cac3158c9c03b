// For row i with logits x (C,), class t, class weights w (C,) and p = softmax(x)_t:
//
//   loss = -w_t (1 - p)^gamma log p          dx_c = g ([c = t] - softmax(x)_c)
//   g = w_t (gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma)
//
// "mean" divides by the rows that are not ignored. The kernel gives softmax(x), and the maximum and
// sum of each row; what depends on p is one number per row, computed in double: 1 - p is
// -expm1(log p), without cancellation where p is near 1. loss and dx are overwritten; rows whose
// class is ignored get zeros.
#include "ops/focal_loss.h"

#include <algorithm>
#include <cmath>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

constexpr const char* kOp = "focal_loss";
// Rows per call of the kernel: statistics on the stack, 64 KiB of logits at most.
constexpr int64_t kBlockRows = 64, kBlockFloats = 16384;

double power(double base, double exponent) {
  return exponent == 2 ? base * base : exponent == 1 ? base : std::pow(base, exponent);
}

struct Row {
  double loss, slope, rest;  // rest = 1 - p
};

Row focal_row(double log_p, double weight, double gamma) {
  // A logit of -inf costs nothing where the class does not count.
  if (weight == 0) return {0, 0, 0};
  const double rest = -std::expm1(log_p), factor = power(rest, gamma);
  // At p = 1 this term tends to 0, though its power may be infinite.
  const double rising = rest == 0 ? 0 : gamma * power(rest, gamma - 1) * std::exp(log_p) * log_p;
  return {-weight * factor * log_p, weight * (rising - factor), rest};
}

// What all rows share.
struct Problem {
  const float* x;
  int64_t c;
  const int64_t* labels;
  const float* weight;
  double gamma;
  float* dx;
  double gradient_scale;  // 1 / rows that count for "mean", else 1

  void rows(int64_t begin, int64_t end, float* losses) const {
    const KernelTable& table = kernels();
    const auto multiply = table.elementwise.arithmetic[static_cast<int>(Arithmetic::kMul)];
    const int64_t step = std::clamp<int64_t>(kBlockFloats / c, 1, kBlockRows);
    for (int64_t first = begin; first < end; first += step) {
      const int64_t count = std::min(step, end - first);
      float maximum[kBlockRows], log_sum[kBlockRows], factor[kBlockRows], own[kBlockRows];
      float* gradient = dx ? dx + first * c : nullptr;
      table.softmax.softmax_rows(x + first * c, gradient, count, c, {nullptr, maximum, log_sum});
      table.softmax.logarithm(log_sum, log_sum, count);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t label = labels[first + i];
        Row row{0, 0, 0};
        if (label != kIgnoredLabel) {
          const float logit = x[(first + i) * c + label];
          row = focal_row(static_cast<double>(logit - maximum[i]) - log_sum[i],
                          weight ? weight[label] : 1.0, gamma);
        }
        losses[first + i] = static_cast<float>(row.loss);
        factor[i] = static_cast<float>(-row.slope * gradient_scale);
        own[i] = static_cast<float>(row.slope * row.rest * gradient_scale);
      }
      if (!gradient) continue;
      multiply({gradient, c, 1}, {factor, 1, 0}, gradient, count, c, false);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t label = labels[first + i];
        if (label == kIgnoredLabel) {
          std::fill_n(gradient + i * c, c, 0.0f);
        } else {
          gradient[i * c + label] = own[i];
        }
      }
    }
  }
};

}  // namespace

void focal_loss(const float* x, int64_t n, int64_t c, const Labels& target,
                const FocalLossOptions& options, float* loss, float* dx) {
  const Scratch<int64_t> labels(n);
  read_labels(kOp, target, n, {c, options.weight, options.ignore_index}, labels.data());
  const bool rowwise = options.reduction == Reduction::kNone;
  const Scratch<float> row_losses(rowwise ? 0 : n);
  float* losses = rowwise ? loss : row_losses.data();

  double divisor = 1;
  if (options.reduction == Reduction::kMean)
    divisor = static_cast<double>(n - std::count(labels.data(), labels.data() + n, kIgnoredLabel));
  const Problem problem{x, c, labels.data(), options.weight, options.gamma, dx, 1 / divisor};
  parallel_for(n, grain_for(c * 16 + 256),
               [&](int64_t begin, int64_t end) { problem.rows(begin, end, losses); });
  if (rowwise) return;
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += losses[i];
  *loss = static_cast<float>(total / divisor);
}

}  // namespace neurona
