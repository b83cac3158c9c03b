// One filter per channel (Chollet 2017): nothing to block, so one thread per element of the images,
// neighbours in a warp along the channels. Memory-bound.
#include "cuda/conv2d_variants.h"
#include "cuda/device.h"
#include "cuda/device_memory.h"
#include "cuda/divisor.cuh"
#include "cuda/product/epilogue.cuh"

namespace neurona {
namespace {

struct Sizes {
  int64_t n, c, h, w, r, s, p, q;
  int64_t stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  Divisor by_c, by_h, by_w, by_p, by_q, by_stride_h, by_stride_w;

  explicit Sizes(const Conv2dShape& shape)
      : n(shape.n),
        c(shape.c),
        h(shape.h),
        w(shape.w),
        r(shape.r),
        s(shape.s),
        p(shape.p),
        q(shape.q),
        stride_h(shape.stride[0]),
        stride_w(shape.stride[1]),
        padding_h(shape.padding[0]),
        padding_w(shape.padding[1]),
        dilation_h(shape.dilation[0]),
        dilation_w(shape.dilation[1]),
        by_c(shape.c),
        by_h(shape.h),
        by_w(shape.w),
        by_p(shape.p),
        by_q(shape.q),
        by_stride_h(shape.stride[0]),
        by_stride_w(shape.stride[1]) {}
};

__global__ void forward_kernel(Sizes sizes, const float* x, const float* weight, RowTarget target) {
  for (int64_t i = first_element(); i < sizes.n * sizes.p * sizes.q * sizes.c;
       i += element_stride()) {
    const Divided channel = divide(i, sizes.by_c), row = divide(channel.quotient, sizes.by_q),
                  image = divide(row.quotient, sizes.by_p);
    const int64_t c = channel.remainder;
    float sum = 0;
    for (int64_t r = 0; r < sizes.r; ++r) {
      const int64_t h = image.remainder * sizes.stride_h + r * sizes.dilation_h - sizes.padding_h;
      if (h < 0 || h >= sizes.h) continue;
      const float* pixels = x + (image.quotient * sizes.h + h) * sizes.w * sizes.c + c;
      for (int64_t s = 0; s < sizes.s; ++s) {
        const int64_t w = row.remainder * sizes.stride_w + s * sizes.dilation_w - sizes.padding_w;
        if (w >= 0 && w < sizes.w)
          sum = fmaf(pixels[w * sizes.c], weight[(c * sizes.r + r) * sizes.s + s], sum);
      }
    }
    target.store(0, channel.quotient, c, sum);
  }
}

// The output that reads input `at - padding` by a tap, or -1.
__device__ inline int64_t reader(int64_t at, const Divisor& by_stride, int64_t outputs) {
  if (at < 0) return -1;
  const Divided output = divide(at, by_stride);
  return output.remainder == 0 && output.quotient < outputs ? output.quotient : -1;
}

__global__ void backward_data_kernel(Sizes sizes, const float* dy, const float* weight,
                                     RowTarget target) {
  for (int64_t i = first_element(); i < sizes.n * sizes.h * sizes.w * sizes.c;
       i += element_stride()) {
    const Divided channel = divide(i, sizes.by_c), row = divide(channel.quotient, sizes.by_w),
                  image = divide(row.quotient, sizes.by_h);
    const int64_t c = channel.remainder;
    float sum = 0;
    for (int64_t r = 0; r < sizes.r; ++r) {
      const int64_t p = reader(image.remainder + sizes.padding_h - r * sizes.dilation_h,
                               sizes.by_stride_h, sizes.p);
      if (p < 0) continue;
      const float* gradients = dy + (image.quotient * sizes.p + p) * sizes.q * sizes.c + c;
      for (int64_t s = 0; s < sizes.s; ++s) {
        const int64_t q = reader(row.remainder + sizes.padding_w - s * sizes.dilation_w,
                                 sizes.by_stride_w, sizes.q);
        if (q >= 0)
          sum = fmaf(gradients[q * sizes.c], weight[(c * sizes.r + r) * sizes.s + s], sum);
      }
    }
    target.store(0, channel.quotient, c, sum);
  }
}

// dw[c, r, s]: a block sums one tap of 32 channels over a stretch of pixels, 8 threads to a
// channel, in double; the stretches are added in order by a second kernel.
constexpr int kChannels = 32, kLanes = 8;
constexpr int64_t kStretch = 2048;

__global__ void stretch_kernel(Sizes sizes, int64_t stretches, const float* dy, const float* x,
                               double* partial) {
  NEURONA_SHARED(double, lane_sums, [kLanes][kChannels]);
  const int lane = threadIdx.x / kChannels, in_block = threadIdx.x % kChannels;
  const int64_t taps = sizes.r * sizes.s, stretch = blockIdx.x % stretches,
                outer = blockIdx.x / stretches, tap = outer % taps;
  const int64_t c = outer / taps * kChannels + in_block;
  const int64_t shift_h = tap / sizes.s * sizes.dilation_h - sizes.padding_h,
                shift_w = tap % sizes.s * sizes.dilation_w - sizes.padding_w;
  const int64_t end = min(sizes.n * sizes.p * sizes.q, (stretch + 1) * kStretch);
  double sum = 0;
  for (int64_t pixel = stretch * kStretch + lane; pixel < end && c < sizes.c; pixel += kLanes) {
    const Divided row = divide(pixel, sizes.by_q), image = divide(row.quotient, sizes.by_p);
    const int64_t h = image.remainder * sizes.stride_h + shift_h,
                  w = row.remainder * sizes.stride_w + shift_w;
    if (h >= 0 && h < sizes.h && w >= 0 && w < sizes.w)
      sum += static_cast<double>(dy[pixel * sizes.c + c]) *
             x[((image.quotient * sizes.h + h) * sizes.w + w) * sizes.c + c];
  }
  lane_sums[lane][in_block] = sum;
  __syncthreads();
  if (lane > 0 || c >= sizes.c) return;
  for (int other = 1; other < kLanes; ++other) sum += lane_sums[other][in_block];
  partial[(c * taps + tap) * stretches + stretch] = sum;
}

__global__ void add_stretches_kernel(int64_t count, int64_t stretches, const double* partial,
                                     float* dw) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    double sum = 0;
    for (int64_t stretch = 0; stretch < stretches; ++stretch)
      sum += partial[i * stretches + stretch];
    dw[i] = static_cast<float>(sum);
  }
}

}  // namespace

void conv2d_depthwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y) {
  launch("conv2d_depthwise_forward", forward_kernel,
         over_elements(shape.n * shape.p * shape.q * shape.c), Sizes(shape), x, weight,
         rows_of(y, shape.k, bias, activation));
}

void conv2d_depthwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx) {
  launch("conv2d_depthwise_backward_data", backward_data_kernel,
         over_elements(shape.n * shape.h * shape.w * shape.c), Sizes(shape), dy, weight,
         rows_of(dx, shape.c, bias, TileActivation::kNone));
}

void conv2d_depthwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw) {
  const int64_t stretches = divide_up(shape.n * shape.p * shape.q, kStretch);
  const Workspace partial(static_cast<size_t>(shape.weight_size() * stretches) * sizeof(double));
  const auto blocks =
      static_cast<unsigned>(stretches * shape.r * shape.s * divide_up(shape.c, kChannels));
  launch("conv2d_depthwise_backward_weight", stretch_kernel,
         Launch{dim3(blocks), dim3(kChannels * kLanes)}, Sizes(shape), stretches, dy, x,
         partial.as<double>());
  launch("conv2d_depthwise_backward_weight", add_stretches_kernel,
         over_elements(shape.weight_size()), shape.weight_size(), stretches,
         partial.as<const double>(), dw);
}

}  // namespace neurona
