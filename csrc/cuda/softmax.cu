// softmax      y = exp(x - max x) / sum exp(x - max x)            dx = y (dy - sum dy y)
// log-softmax  y = x - max x - log sum exp(x - max x)             dx = dy - exp(y) sum dy
//
// The exponentials are taken twice rather than kept: memory is what costs. NaN, +inf, or -inf
// throughout a line give NaN in the whole line: the maximum skips NaN, the sum does not. Outputs
// are overwritten.
#include "ops/softmax.h"

#include "cuda/line.cuh"

namespace neurona {
namespace {

template <typename Threads>
__global__ void softmax_kernel(AxisView view, const float* x, float* y) {
  const Line<Threads> line(view);
  const float maximum = line.maximum([&](int64_t i) { return x[i]; });
  const auto power = [&](int64_t i) { return expf(x[i] - maximum); };
  const float factor = 1.0f / static_cast<float>(line.sum(power));
  line.for_each([&](int64_t i) { y[i] = power(i) * factor; });
}

template <typename Threads>
__global__ void log_softmax_kernel(AxisView view, const float* x, float* y) {
  const Line<Threads> line(view);
  const float maximum = line.maximum([&](int64_t i) { return x[i]; });
  const float log_sum =
      logf(static_cast<float>(line.sum([&](int64_t i) { return expf(x[i] - maximum); })));
  line.for_each([&](int64_t i) { y[i] = (x[i] - maximum) - log_sum; });
}

template <typename Threads>
__global__ void softmax_backward_kernel(AxisView view, const float* dy, const float* y, float* dx) {
  const Line<Threads> line(view);
  const auto dot = static_cast<float>(line.sum([&](int64_t i) { return dy[i] * y[i]; }));
  line.for_each([&](int64_t i) { dx[i] = y[i] * (dy[i] - dot); });
}

template <typename Threads>
__global__ void log_softmax_backward_kernel(AxisView view, const float* dy, const float* y,
                                            float* dx) {
  const Line<Threads> line(view);
  const auto sum = static_cast<float>(line.sum([&](int64_t i) { return dy[i]; }));
  line.for_each([&](int64_t i) { dx[i] = dy[i] - expf(y[i]) * sum; });
}

}  // namespace

void softmax_forward(const AxisView& view, const float* x, float* y) {
  with_line_threads(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("softmax_forward", softmax_kernel<Threads>, Threads::shape(view), view, x, y);
  });
}

void log_softmax_forward(const AxisView& view, const float* x, float* y) {
  with_line_threads(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("log_softmax_forward", log_softmax_kernel<Threads>, Threads::shape(view), view, x, y);
  });
}

void softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx) {
  with_line_threads(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("softmax_backward", softmax_backward_kernel<Threads>, Threads::shape(view), view, dy, y,
           dx);
  });
}

void log_softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx) {
  with_line_threads(view, [&](auto threads) {
    using Threads = decltype(threads);
    launch("log_softmax_backward", log_softmax_backward_kernel<Threads>, Threads::shape(view), view,
           dy, y, dx);
  });
}

}  // namespace neurona
