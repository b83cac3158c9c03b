// Cross-entropy of logits against classes or class probabilities, loss and gradient in one pass.
#pragma once

#include <cstdint>

namespace neurona {

enum class Reduction { kMean, kSum, kNone };

// The targets: either labels, one integer of `label_bytes` bytes per row, or probabilities (N, C).
struct CrossEntropyTarget {
  const void* labels;
  int label_bytes;
  bool label_signed;
  const float* probabilities;
};

struct CrossEntropyOptions {
  const float* weight;  // of the C classes, or null
  int64_t ignore_index;
  Reduction reduction;
  double label_smoothing;
};

// x is (N, C). Writes N losses for kNone and one otherwise, and dx (N, C) unless it is null.
// ValueError for a label or a weight outside its range; what was written is undefined then.
void cross_entropy(const float* x, int64_t n, int64_t c, const CrossEntropyTarget& target,
                   const CrossEntropyOptions& options, float* loss, float* dx);

}  // namespace neurona
