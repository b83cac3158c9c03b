// Focal loss of logits against classes, loss and gradient in one pass (Lin et al. 2017).
#pragma once

#include <cstdint>

#include "ops/cross_entropy.h"
#include "ops/labels.h"

namespace neurona {

struct FocalLossOptions {
  double gamma;
  const float* weight;  // of the C classes, or null
  int64_t ignore_index;
  Reduction reduction;
};

// x is (N, C). Writes N losses for kNone and one otherwise, and dx (N, C) unless it is null.
// ValueError for a label or a weight outside its range; what was written is undefined then.
void focal_loss(const float* x, int64_t n, int64_t c, const Labels& target,
                const FocalLossOptions& options, float* loss, float* dx);

}  // namespace neurona
