// Batch normalisation of rows of channels; the formulas are in ops/batch_norm.h.
//
// Three passes: sums over pieces of the columns, what follows from them for each channel, and an
// element-wise one.
#include "ops/batch_norm.h"

#include <vector>

#include "core/batch_norm_rules.h"
#include "cuda/common/block_sum.cuh"
#include "cuda/platform/device_memory.h"
#include "cuda/common/divisor.cuh"
#include "cuda/common/lanes.cuh"
#include "cuda/common/moments.cuh"
#include "cuda/common/wide_rows.cuh"

namespace neurona {
namespace {

template <typename Item>
__global__ void moments_kernel(WideRows wide, const Item* x, Moments* partials) {
  wait_for_earlier_kernels();
  const ThreadRows<Item> rows(wide);
  Moments own[Item::kLanes];
  moments_of(x + rows.first, rows.count, rows.step, own);
  leave_partials<Item>(
      wide, rows, own, [](const Moments& a, const Moments& b) { return merged(a, b); }, partials);
}

// -- Coefficients per channel ---------------------------------------------------------------------

// y = (x - mean) scale + bias, in arrays one behind the other.
struct Normalization {
  float *mean, *scale, *bias;

  Normalization(const Workspace& memory, int64_t channels)
      : mean(memory.as<float>()), scale(mean + channels), bias(scale + channels) {}
  static size_t bytes(int64_t channels) {
    return static_cast<size_t>(channels) * 3 * sizeof(float);
  }

  // y = (x - float(mean)) scale + (bias - (mean - float(mean)) scale): a mean of any size costs no
  // accuracy.
  __device__ void set(int64_t channel, double exact_mean, double exact_scale, double shift) const {
    const auto rounded = static_cast<float>(exact_mean);
    mean[channel] = rounded;
    scale[channel] = static_cast<float>(exact_scale);
    // NaN when the mean or the scale is infinite.
    const double correction = (exact_mean - rounded) * exact_scale;
    bias[channel] = static_cast<float>(isfinite(correction) ? shift - correction : shift);
  }
};

__global__ void training_kernel(WideRows wide, int warps, BatchNormTraining options,
                                const Moments* partials, Normalization normalization, float* mean,
                                float* invstd) {
  wait_for_earlier_kernels();
  const CombinedChannel own(wide, warps);
  const int64_t c = own.channel;
  Moments batch{};
  for (int64_t k = own.first; k < own.end; k += own.step)
    batch = merged(batch, partials[own.partial(wide, k)]);
  batch = warp_merged(batch);
  if (!own.combine(batch, [](const Moments& a, const Moments& b) { return merged(a, b); })) return;
  // Rounding may leave a tiny negative number where all values are equal; NaN stays.
  if (batch.m2 < 0) batch.m2 = 0;
  const double variance = batch.count > 0 ? batch.m2 / batch.count : 0,
               inverse = 1 / sqrt(variance + options.eps);
  normalization.set(c, batch.mean, inverse * (options.weight ? options.weight[c] : 1),
                    options.bias ? options.bias[c] : 0);
  mean[c] = static_cast<float>(batch.mean);
  invstd[c] = static_cast<float>(inverse);
  if (!options.running_mean || batch.count == 0) return;
  const double keep = 1 - options.momentum;
  options.running_mean[c] =
      static_cast<float>(keep * options.running_mean[c] + options.momentum * batch.mean);
  options.running_var[c] = static_cast<float>(keep * options.running_var[c] +
                                              options.momentum * batch.m2 / (batch.count - 1));
}

__global__ void evaluation_kernel(int64_t channels, const float* weight, const float* bias,
                                  const float* running_mean, const float* running_var, double eps,
                                  Normalization normalization, float* mean, float* invstd) {
  wait_for_earlier_kernels();
  for (int64_t c = first_element(); c < channels; c += element_stride()) {
    const double inverse = 1 / sqrt(running_var[c] + eps);
    normalization.set(c, running_mean[c], inverse * (weight ? weight[c] : 1), bias ? bias[c] : 0);
    mean[c] = running_mean[c];
    invstd[c] = static_cast<float>(inverse);
  }
}

// -- The gradient's sums --------------------------------------------------------------------------

// dy, or 0 where a relu behind was not above 0 (a NaN passes, as in relu's own gradient).
__device__ inline float gated(float dy, float gate) { return gate <= 0 ? 0.0f : dy; }

struct GradientSums {
  double dy, product;  // of dy, and of dy (x - mean)
};

__device__ inline GradientSums added(const GradientSums& a, const GradientSums& b) {
  return {a.dy + b.dy, a.product + b.product};
}

// Rows whose loads are under way together; all of a group's, of three arrays, would take more
// registers than leave room for enough threads.
constexpr int kRowsAtOnce = 2;

template <typename Item>
__global__ void gradient_sums_kernel(WideRows wide, const Item* dy, const Item* gate, const Item* x,
                                     const float* mean, GradientSums* partials) {
  wait_for_earlier_kernels();
  static_assert(kGroupRows % kRowsAtOnce == 0);
  const ThreadRows<Item> rows(wide);
  Item centre{}, sum{}, product{};
  GradientSums own[Item::kLanes]{};
  NEURONA_UNROLL
  for (int lane = 0; lane < Item::kLanes; ++lane)
    if (rows.count > 0) centre[lane] = mean[(rows.column + lane) % wide.channels];
  for (int begin = 0; begin < rows.count; begin += kRowsAtOnce) {
    Item gradients[kRowsAtOnce], values[kRowsAtOnce], open[kRowsAtOnce];
    NEURONA_UNROLL
    for (int i = 0; i < kRowsAtOnce; ++i) {
      if (begin + i >= rows.count) continue;
      const int64_t at = rows.first + (begin + i) * rows.step;
      gradients[i] = dy[at];
      values[i] = x[at];
      if (gate) open[i] = gate[at];
    }
    const bool ends_group = begin % kGroupRows + kRowsAtOnce == kGroupRows,
               ends = begin + kRowsAtOnce >= rows.count;
    NEURONA_UNROLL
    for (int lane = 0; lane < Item::kLanes; ++lane) {
      NEURONA_UNROLL
      for (int i = 0; i < kRowsAtOnce; ++i) {
        if (begin + i >= rows.count) continue;
        const float gradient = gate ? gated(gradients[i][lane], open[i][lane]) : gradients[i][lane];
        sum[lane] += gradient;
        product[lane] = fmaf(gradient, values[i][lane] - centre[lane], product[lane]);
      }
      if (!ends_group && !ends) continue;
      own[lane].dy += sum[lane];
      own[lane].product += product[lane];
      sum[lane] = product[lane] = 0;
    }
  }
  leave_partials<Item>(
      wide, rows, own, [](const GradientSums& a, const GradientSums& b) { return added(a, b); },
      partials);
}

// dx = dy scale + (x - mean) slope + offset, in arrays one behind the other.
struct GradientCoefficients {
  float *scale, *slope, *offset;

  GradientCoefficients(const Workspace& memory, int64_t channels)
      : scale(memory.as<float>()), slope(scale + channels), offset(slope + channels) {}
  static size_t bytes(int64_t channels) {
    return static_cast<size_t>(channels) * 3 * sizeof(float);
  }
};

__global__ void finish_gradient_kernel(WideRows wide, int warps, bool training,
                                       const GradientSums* partials, const float* weight,
                                       const float* invstd, GradientCoefficients coefficients,
                                       float* dweight, float* dbias) {
  wait_for_earlier_kernels();
  const CombinedChannel own(wide, warps);
  const int64_t c = own.channel;
  GradientSums sums{};
  for (int64_t k = own.first; k < own.end; k += own.step)
    sums = added(sums, partials[own.partial(wide, k)]);
  sums = {warp_sum(sums.dy), warp_sum(sums.product)};
  if (!own.combine(sums, [](const GradientSums& a, const GradientSums& b) { return added(a, b); }))
    return;
  const double sum = sums.dy, product = sums.product * invstd[c];
  dbias[c] = static_cast<float>(sum);
  dweight[c] = static_cast<float>(product);
  const double scale = invstd[c] * (weight ? static_cast<double>(weight[c]) : 1),
               count = static_cast<double>(wide.elements / wide.channels);
  coefficients.scale[c] = static_cast<float>(scale);
  // Without rows nothing is computed from these.
  coefficients.slope[c] = training ? static_cast<float>(-scale * invstd[c] * product / count) : 0;
  coefficients.offset[c] = training ? static_cast<float>(-scale * sum / count) : 0;
}

// -- Passes over all elements ---------------------------------------------------------------------

template <int kLanes>
__global__ void __launch_bounds__(kBlock, kFullBlocks)
    normalize_kernel(Divisor groups, int64_t count, const Lanes<float, kLanes>* x,
                     const Lanes<float, kLanes>* mean, const Lanes<float, kLanes>* scale,
                     const Lanes<float, kLanes>* bias, bool relu, Lanes<float, kLanes>* y) {
  wait_for_earlier_kernels();
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const int64_t c = divide(i, groups).remainder;
    const Lanes<float, kLanes> value = x[i], centre = mean[c], factor = scale[c], shift = bias[c];
    Lanes<float, kLanes> result;
    for (int lane = 0; lane < kLanes; ++lane) {
      result[lane] = fmaf(value[lane] - centre[lane], factor[lane], shift[lane]);
      if (relu && result[lane] <= 0) result[lane] = 0;
    }
    y[i] = result;
  }
}

// x is not read where `training` is false: dx = dy scale then.
template <int kLanes>
__global__ void gradient_kernel(Divisor groups, int64_t count, bool training,
                                const Lanes<float, kLanes>* dy, const Lanes<float, kLanes>* gate,
                                const Lanes<float, kLanes>* x, const Lanes<float, kLanes>* mean,
                                const Lanes<float, kLanes>* scale,
                                const Lanes<float, kLanes>* slope,
                                const Lanes<float, kLanes>* offset, Lanes<float, kLanes>* dx) {
  wait_for_earlier_kernels();
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const int64_t c = divide(i, groups).remainder;
    Lanes<float, kLanes> own = dy[i];
    if (gate) {
      const Lanes<float, kLanes> open = gate[i];
      for (int lane = 0; lane < kLanes; ++lane) own[lane] = gated(own[lane], open[lane]);
    }
    const Lanes<float, kLanes> factor = scale[c];
    Lanes<float, kLanes> rest{};
    if (training) {
      const Lanes<float, kLanes> value = x[i], centre = mean[c], rise = slope[c], base = offset[c];
      for (int lane = 0; lane < kLanes; ++lane)
        rest[lane] = fmaf(value[lane] - centre[lane], rise[lane], base[lane]);
    }
    for (int lane = 0; lane < kLanes; ++lane) own[lane] = fmaf(own[lane], factor[lane], rest[lane]);
    dx[i] = own;
  }
}

void normalize(const BatchNormShape& shape, const Normalization& normalization, const float* x,
               bool relu, float* y) {
  with_lanes(shape.channels, {x, y}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = shape.channels / kLanes, count = shape.rows * groups;
    launch("batch_norm_normalize", normalize_kernel<kLanes>, overlapping(over_elements(count)),
           Divisor(groups), count, as_lanes<kLanes>(x), as_lanes<kLanes>(normalization.mean),
           as_lanes<kLanes>(normalization.scale), as_lanes<kLanes>(normalization.bias), relu,
           as_lanes<kLanes>(y));
  });
}

}  // namespace

void check_running_var(const char* op, const float* variance, int64_t channels) {
  std::vector<float> copy(static_cast<size_t>(channels));
  copy_to_host(copy.data(), variance, copy.size() * sizeof(float));
  check_variances(op, copy.data(), channels);
}

void batch_norm_training(const BatchNormShape& shape, const BatchNormTraining& options,
                         const float* x, float* y, float* mean, float* invstd) {
  const WideRows wide(shape.rows, shape.channels);
  const Workspace partials(static_cast<size_t>(wide.partials()) * sizeof(Moments)),
      coefficients(Normalization::bytes(shape.channels));
  const Normalization normalization(coefficients, shape.channels);
  with_items(wide, {x}, [&]<typename Item>(Item) {
    launch("batch_norm_moments", moments_kernel<Item>, overlapping(wide.summing()), wide,
           reinterpret_cast<const Item*>(x), partials.as<Moments>());
  });
  launch("batch_norm_training", training_kernel, overlapping(wide.combining()), wide,
         wide.combining_warps(), options, partials.as<Moments>(), normalization, mean, invstd);
  normalize(shape, normalization, x, options.relu, y);
}

void batch_norm_evaluation(const BatchNormShape& shape, const float* weight, const float* bias,
                           const float* running_mean, const float* running_var, double eps,
                           bool relu, const float* x, float* y, float* mean, float* invstd) {
  const Workspace coefficients(Normalization::bytes(shape.channels));
  const Normalization normalization(coefficients, shape.channels);
  launch("batch_norm_evaluation", evaluation_kernel, overlapping(over_elements(shape.channels)),
         shape.channels, weight, bias, running_mean, running_var, eps, normalization, mean, invstd);
  normalize(shape, normalization, x, relu, y);
}

void batch_norm_backward(const BatchNormShape& shape, bool training, const float* dy,
                         const float* gate, const float* x, const float* weight, const float* mean,
                         const float* invstd, const BatchNormGradients& gradients) {
  const WideRows wide(shape.rows, shape.channels);
  const Workspace partials(static_cast<size_t>(wide.partials()) * sizeof(GradientSums)),
      memory(GradientCoefficients::bytes(shape.channels));
  const GradientCoefficients coefficients(memory, shape.channels);
  with_items(wide, {dy, gate, x}, [&]<typename Item>(Item) {
    launch("batch_norm_gradient_sums", gradient_sums_kernel<Item>, overlapping(wide.summing()),
           wide, reinterpret_cast<const Item*>(dy), reinterpret_cast<const Item*>(gate),
           reinterpret_cast<const Item*>(x), mean, partials.as<GradientSums>());
  });
  launch("batch_norm_finish_gradient", finish_gradient_kernel, overlapping(wide.combining()), wide,
         wide.combining_warps(), training, partials.as<GradientSums>(), weight, invstd,
         coefficients, gradients.dweight, gradients.dbias);
  with_lanes(shape.channels, {dy, gate, x, mean, gradients.dx}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = shape.channels / kLanes, count = shape.rows * groups;
    launch("batch_norm_gradient", gradient_kernel<kLanes>, overlapping(over_elements(count)),
           Divisor(groups), count, training, as_lanes<kLanes>(dy), as_lanes<kLanes>(gate),
           as_lanes<kLanes>(x), as_lanes<kLanes>(mean), as_lanes<kLanes>(coefficients.scale),
           as_lanes<kLanes>(coefficients.slope), as_lanes<kLanes>(coefficients.offset),
           as_lanes<kLanes>(gradients.dx));
  });
}

}  // namespace neurona
