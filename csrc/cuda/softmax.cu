// softmax      y = exp(x - max x) / sum exp(x - max x)            dx = y (dy - sum dy y)
// log-softmax  y = x - max x - log sum exp(x - max x)             dx = dy - exp(y) sum dy
//
// NaN, +inf, or -inf throughout a line give NaN in the whole line: the maximum skips NaN, the sum
// does not. Outputs are overwritten.
#include "ops/softmax.h"

#include "cuda/common/line.cuh"

namespace neurona {
namespace {

template <typename Threads>
__global__ void __launch_bounds__(Threads::kBlockThreads, 1)
    softmax_kernel(AxisView view, const float* x, float* y) {
  const Line<Threads> line(view);
  wait_for_earlier_kernels();
  const float* own_x = line.input(x);
  float* own_y = line.output(y);
  const auto logit = line.held([=](const Spot& at) { return own_x[at.offset]; });
  const float maximum = line.maximum(logit);
  const auto power = line.held([=](const Spot& at) { return expf(logit(at) - maximum); });
  const float factor = 1.0f / static_cast<float>(line.sum(power));
  line.for_each([&](const Spot& at) { own_y[at.offset] = power(at) * factor; });
  line.finish(y);
}

template <typename Threads>
__global__ void __launch_bounds__(Threads::kBlockThreads, 1)
    log_softmax_kernel(AxisView view, const float* x, float* y) {
  const Line<Threads> line(view);
  wait_for_earlier_kernels();
  const float* own_x = line.input(x);
  float* own_y = line.output(y);
  const auto logit = line.held([=](const Spot& at) { return own_x[at.offset]; });
  const float maximum = line.maximum(logit);
  const float log_sum =
      logf(static_cast<float>(line.sum([&](const Spot& at) { return expf(logit(at) - maximum); })));
  line.for_each([&](const Spot& at) { own_y[at.offset] = (logit(at) - maximum) - log_sum; });
  line.finish(y);
}

template <typename Threads>
__global__ void __launch_bounds__(Threads::kBlockThreads, 1)
    softmax_backward_kernel(AxisView view, const float* dy, const float* y, float* dx) {
  const Line<Threads> line(view);
  wait_for_earlier_kernels();
  const float *own_dy = line.input(dy, 0), *own_y = line.input(y, 1);
  float* own_dx = line.output(dx);
  const auto upstream = line.held([=](const Spot& at) { return own_dy[at.offset]; });
  const auto value = line.held_beside([=](const Spot& at) { return own_y[at.offset]; });
  const auto dot = static_cast<float>(
      line.sum_of(value, [&](const Spot& at, float own) { return upstream(at) * own; }));
  line.for_each_of(
      value, [&](const Spot& at, float own) { own_dx[at.offset] = own * (upstream(at) - dot); });
  line.finish(dx);
}

template <typename Threads>
__global__ void __launch_bounds__(Threads::kBlockThreads, 1)
    log_softmax_backward_kernel(AxisView view, const float* dy, const float* y, float* dx) {
  const Line<Threads> line(view);
  wait_for_earlier_kernels();
  const float *own_dy = line.input(dy, 0), *own_y = line.input(y, 1);
  float* own_dx = line.output(dx);
  const auto upstream = line.held([=](const Spot& at) { return own_dy[at.offset]; });
  const auto value = line.held_beside([=](const Spot& at) { return own_y[at.offset]; });
  const auto sum = static_cast<float>(line.sum(upstream));
  line.for_each_of(value, [&](const Spot& at, float own) {
    own_dx[at.offset] = upstream(at) - expf(own) * sum;
  });
  line.finish(dx);
}

}  // namespace

void softmax_forward(const AxisView& view, const float* x, float* y) {
  with_line_threads(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("softmax_forward", softmax_kernel<Threads>, overlapping(Threads::shape(view, 1)), view,
           x, y);
  });
}

void log_softmax_forward(const AxisView& view, const float* x, float* y) {
  with_line_threads(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("log_softmax_forward", log_softmax_kernel<Threads>, overlapping(Threads::shape(view, 1)),
           view, x, y);
  });
}

void softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx) {
  with_line_threads<HeldOfRows::kTwoArrays>(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("softmax_backward", softmax_backward_kernel<Threads>,
           overlapping(Threads::shape(view, 2)), view, dy, y, dx);
  });
}

void log_softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx) {
  with_line_threads<HeldOfRows::kTwoArrays>(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("log_softmax_backward", log_softmax_backward_kernel<Threads>,
           overlapping(Threads::shape(view, 2)), view, dy, y, dx);
  });
}

}  // namespace neurona
