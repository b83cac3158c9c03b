// Batch normalisation (Ioffe and Szegedy 2015) of an array of `rows` rows of `channels` channels:
// N, N L or N H W of them.
//
//   xhat = (x - mean) invstd,  invstd = 1 / sqrt(var + eps),  y = weight xhat + bias
//   training:   dx = weight invstd (dy - mean(dy) - xhat mean(dy xhat))
//   evaluation: dx = weight invstd dy
//   dweight = sum(dy xhat), dbias = sum(dy)
// A relu behind it runs in the same pass: y = max(0, ..), and backward dy counts where y > 0.
// Sums are float32 over at most 128 values and double above that, in an order that depends on the
// shape alone.
#pragma once

#include <cstdint>

namespace neurona {

struct BatchNormShape {
  int64_t rows, channels;
};

// ValueError unless all are >= 0.
void check_running_var(const char* op, const float* variance, int64_t channels);

// weight and bias may be null (1 and 0). Writes y and the mean and invstd of the batch, and updates
// running_* unless null: running = (1 - momentum) running + momentum batch, with the unbiased
// variance.
struct BatchNormTraining {
  const float *weight, *bias;
  float *running_mean, *running_var;
  double momentum, eps;
  bool relu;
};
void batch_norm_training(const BatchNormShape& shape, const BatchNormTraining& options,
                         const float* x, float* y, float* mean, float* invstd);

// The same from given statistics; mean and invstd are outputs here too.
void batch_norm_evaluation(const BatchNormShape& shape, const float* weight, const float* bias,
                           const float* running_mean, const float* running_var, double eps,
                           bool relu, const float* x, float* y, float* mean, float* invstd);

struct BatchNormGradients {
  float *dx, *dweight, *dbias;
};
// `gate` is y of a forward pass with relu, or null.
void batch_norm_backward(const BatchNormShape& shape, bool training, const float* dy,
                         const float* gate, const float* x, const float* weight, const float* mean,
                         const float* invstd, const BatchNormGradients& gradients);

}  // namespace neurona
