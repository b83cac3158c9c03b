#include "ops/pointwise_loss.h"

#include <algorithm>

#include "core/arena.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Elements of one partial sum: 5 microseconds of the cheap losses, 20 of those with a logarithm.
constexpr int64_t kPiece = 16384;

}  // namespace

void pointwise_loss(PointwiseLoss loss, PointwiseLossArrays arrays, int64_t count,
                    Reduction reduction, float* result) {
  // A beta that float32 cannot tell from 0 divides nothing.
  if (loss == PointwiseLoss::kSmoothL1 && arrays.parameter == 0) loss = PointwiseLoss::kL1;
  const auto kernel = kernels().pointwise_loss.sum[static_cast<int>(loss)];
  const bool is_mean = reduction == Reduction::kMean;
  arrays.losses = reduction == Reduction::kNone ? result : nullptr;
  arrays.gradient_scale = is_mean ? static_cast<float>(1.0 / static_cast<double>(count)) : 1.0f;

  const int64_t pieces = divide_up(count, kPiece);
  double total = 0;
  if (pieces <= 1) {
    parallel_for(pieces, 1, [&](int64_t, int64_t) { total = kernel(arrays, 0, count); });
  } else {
    const Scratch<double> sums(pieces);
    parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        sums[i] = kernel(arrays, i * kPiece, std::min(count, (i + 1) * kPiece));
    });
    for (int64_t i = 0; i < pieces; ++i) total += sums[i];
  }
  if (reduction == Reduction::kNone) return;
  *result = static_cast<float>(is_mean ? total / static_cast<double>(count) : total);
}

}  // namespace neurona
