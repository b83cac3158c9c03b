// One pass over x and target gives the losses and both gradients, with the logarithms and
// exponentials that they share taken once, and the sum of the losses, added by the block that comes
// last; formulas: ops/pointwise_loss.h. Outputs are overwritten.
//
// A thread takes four neighbours at a time, wherever the arrays begin, and adds their losses in
// float32; all above is added in double. So the sum depends on the count alone. The comparisons are
// written so that NaN passes through.
#include "ops/pointwise_loss.h"

#include <algorithm>
#include <initializer_list>

#include "cuda/common/log1p.cuh"
#include "cuda/common/total.cuh"

namespace neurona {
namespace {

constexpr const char* kOp = "pointwise_loss";

// What a logarithm of 0 counts as, so that a certain but wrong prediction costs a finite amount.
constexpr float kLogFloor = -100.0f;
// Keeps 1 / (x (1 - x)) finite at x = 0 and 1.
constexpr float kVarianceFloor = 1e-12f;

// The loss and its derivatives by x and by the target.
struct Terms {
  float loss, by_x, by_target;
};

__device__ inline float at_least(float v, float low) { return v < low ? low : v; }
__device__ inline float within(float v, float size) {
  return v < -size ? -size : v > size ? size : v;
}
__device__ inline float sign(float v) { return v > 0 ? 1.0f : v < 0 ? -1.0f : v; }

struct Mse {
  __device__ static Terms terms(float x, float target, float, float) {
    const float d = x - target, slope = d + d;
    return {d * d, slope, -slope};
  }
};

struct L1 {
  __device__ static Terms terms(float x, float target, float, float) {
    const float d = x - target, slope = sign(d);
    return {fabsf(d), slope, -slope};
  }
};

struct Huber {
  __device__ static Terms terms(float x, float target, float, float delta) {
    const float d = x - target, size = fabsf(d), slope = within(d, delta);
    return {size < delta ? 0.5f * size * size : delta * (size - 0.5f * delta), slope, -slope};
  }
};

struct SmoothL1 {
  __device__ static Terms terms(float x, float target, float, float beta) {
    const float d = x - target, size = fabsf(d), share = d / beta, slope = within(share, 1.0f);
    return {size < beta ? 0.5f * size * fabsf(share) : size - 0.5f * beta, slope, -slope};
  }
};

struct Hinge {
  __device__ static Terms terms(float x, float target, float, float margin) {
    const float missing = margin - target * x;
    return missing <= 0 ? Terms{0, 0, 0} : Terms{missing, -target, -x};
  }
};

struct Bce {
  __device__ static Terms terms(float x, float target, float, float) {
    const float log_x = at_least(logf(x), kLogFloor), log_rest = at_least(log1pf(-x), kLogFloor);
    return {(target - 1.0f) * log_rest - target * log_x,
            (x - target) / at_least(x * (1.0f - x), kVarianceFloor), log_rest - log_x};
  }
};

// log1p(e^-|x|) + max(-x, 0) is softplus(-x) and overflows nowhere; the sigmoid shares e^-|x|.
template <bool kWeighted>
struct BceWithLogits {
  __device__ static Terms terms(float x, float target, float weight, float) {
    const float e = expf(-fabsf(x)), large = 1.0f / (e + 1.0f), small = e * large;
    const float softplus = log1p_of_unit(e) + (x < 0 ? -x : 0.0f), p = x < 0 ? small : large;
    if constexpr (!kWeighted) return {(1.0f - target) * x + softplus, p - target, -x};
    const float rest = x < 0 ? large : small;
    return {(1.0f - target) * x + softplus * (1.0f + (weight - 1.0f) * target),
            (1.0f - target) * p - weight * target * rest, (weight - 1.0f) * softplus - x};
  }
};

struct KlDiv {
  __device__ static Terms terms(float x, float target, float, float) {
    const float log_target = logf(target), entropy = target == 0 ? 0.0f : target * log_target;
    return {entropy - target * x, -target, log_target - x + 1.0f};
  }
};

struct KlDivLog {
  __device__ static Terms terms(float x, float target, float, float) {
    const float p = expf(target), d = target - x;
    return {p * d, -p, (d + 1.0f) * p};
  }
};

struct Four {
  float v[4];
};

// Four elements from i on, or those that there are; `whole` when they are there and aligned.
__device__ inline Four load_four(const float* from, int64_t i, int64_t count, bool whole) {
  if (whole) {
    const float4 all = *reinterpret_cast<const float4*>(from + i);
    return {{all.x, all.y, all.z, all.w}};
  }
  Four four{};
  NEURONA_UNROLL
  for (int k = 0; k < 4; ++k)
    if (i + k < count) four.v[k] = from[i + k];
  return four;
}

__device__ inline void store_four(float* to, int64_t i, int64_t count, bool whole, const Four& four,
                                  float scale) {
  if (!to) return;
  if (whole) {
    *reinterpret_cast<float4*>(to + i) =
        make_float4(four.v[0] * scale, four.v[1] * scale, four.v[2] * scale, four.v[3] * scale);
    return;
  }
  NEURONA_UNROLL
  for (int k = 0; k < 4; ++k)
    if (i + k < count) to[i + k] = four.v[k] * scale;
}

struct StoreSum {
  double divisor;
  float* result;  // or null
  __device__ void operator()(double sum) const { *result = static_cast<float>(sum / divisor); }
};

template <typename Loss>
__global__ void pointwise_loss_kernel(PointwiseLossArrays arrays, int64_t count, bool aligned,
                                      double* parts, unsigned* counter, StoreSum store) {
  wait_for_earlier_kernels();
  const float one_weight = arrays.pos_weight_is_a_value ? *arrays.pos_weight : 1.0f;
  const bool has_weights = arrays.pos_weight && !arrays.pos_weight_is_a_value;
  double sum = 0;
  for (int64_t i = 4 * first_element(); i < count; i += 4 * element_stride()) {
    const bool whole = aligned && i + 4 <= count;
    const Four x = load_four(arrays.x, i, count, whole),
               target = load_four(arrays.target, i, count, whole);
    Four weight{{one_weight, one_weight, one_weight, one_weight}};
    if (has_weights) weight = load_four(arrays.pos_weight, i, count, whole);
    Four losses, by_x, by_target;
    NEURONA_UNROLL
    for (int k = 0; k < 4; ++k) {
      const Terms terms = Loss::terms(x.v[k], target.v[k], weight.v[k], arrays.parameter);
      losses.v[k] = i + k < count ? terms.loss : 0.0f;
      by_x.v[k] = terms.by_x;
      by_target.v[k] = terms.by_target;
    }
    store_four(arrays.losses, i, count, whole, losses, 1.0f);
    store_four(arrays.dx, i, count, whole, by_x, arrays.gradient_scale);
    store_four(arrays.dtarget, i, count, whole, by_target, arrays.gradient_scale);
    sum += (losses.v[0] + losses.v[1]) + (losses.v[2] + losses.v[3]);
  }
  if (!store.result) return;
  sum = block_sum<kBlock>(sum);
  if (add_blocks(&sum, parts, counter) && threadIdx.x == 0) store(sum);
}

// Whether all arrays that are read or written four at a time begin at a multiple of 16 bytes.
bool are_aligned(const PointwiseLossArrays& arrays) {
  const float* weights = arrays.pos_weight_is_a_value ? nullptr : arrays.pos_weight;
  uintptr_t bits = 0;
  for (const float* array :
       {arrays.x, arrays.target, weights, static_cast<const float*>(arrays.losses),
        static_cast<const float*>(arrays.dx), static_cast<const float*>(arrays.dtarget)})
    bits |= reinterpret_cast<uintptr_t>(array);
  return bits % sizeof(float4) == 0;
}

// Calls body with the formulas of the loss.
template <typename Body>
void with_loss(PointwiseLoss loss, const PointwiseLossArrays& arrays, const Body& body) {
  switch (loss) {
    case PointwiseLoss::kMse: return body(Mse{});
    case PointwiseLoss::kL1: return body(L1{});
    case PointwiseLoss::kHuber: return body(Huber{});
    case PointwiseLoss::kSmoothL1:
      // A beta that float32 cannot tell from 0 divides nothing.
      if (arrays.parameter == 0) return body(L1{});
      return body(SmoothL1{});
    case PointwiseLoss::kHinge: return body(Hinge{});
    case PointwiseLoss::kBce: return body(Bce{});
    case PointwiseLoss::kBceWithLogits:
      if (arrays.pos_weight) return body(BceWithLogits<true>{});
      return body(BceWithLogits<false>{});
    case PointwiseLoss::kKlDiv: return body(KlDiv{});
    case PointwiseLoss::kKlDivLog: return body(KlDivLog{});
  }
}

}  // namespace

void pointwise_loss(PointwiseLoss loss, PointwiseLossArrays arrays, int64_t count,
                    Reduction reduction, float* result) {
  const double divisor = reduction == Reduction::kMean ? static_cast<double>(count) : 1.0;
  const bool by_element = reduction == Reduction::kNone;
  arrays.losses = by_element ? result : nullptr;
  arrays.gradient_scale = static_cast<float>(1.0 / divisor);

  Launch shape = overlapping(over_elements(divide_up(count, 4)));
  shape.blocks.x = std::max(shape.blocks.x, 1u);  // which give the sum of nothing
  const Workspace parts(by_element ? 0 : shape.blocks.x * sizeof(double));
  with_loss(loss, arrays, [&](auto formulas) {
    launch(kOp, pointwise_loss_kernel<decltype(formulas)>, shape, arrays, count,
           are_aligned(arrays), parts.as<double>(), block_counters(),
           StoreSum{divisor, by_element ? nullptr : result});
  });
}

}  // namespace neurona
