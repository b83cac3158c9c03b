// The definition of a convolution, one thread for each element of the result, sums in double: the
// truth on the device, and what runs shapes that no other algorithm takes.
#include "cuda/conv2d_variants.h"
#include "cuda/device.h"
#include "cuda/product/epilogue.cuh"

namespace neurona {
namespace {

// Conv2dShape with what device code can index.
struct Sizes {
  int64_t n, c, h, w, k, r, s, p, q, group_c, group_k;
  int64_t stride[2], padding[2], dilation[2];

  explicit Sizes(const Conv2dShape& shape)
      : n(shape.n),
        c(shape.c),
        h(shape.h),
        w(shape.w),
        k(shape.k),
        r(shape.r),
        s(shape.s),
        p(shape.p),
        q(shape.q),
        group_c(shape.group_c()),
        group_k(shape.group_k()),
        stride{shape.stride[0], shape.stride[1]},
        padding{shape.padding[0], shape.padding[1]},
        dilation{shape.dilation[0], shape.dilation[1]} {}

  // The input position that output `out` reads by `tap`, or -1 outside.
  __device__ int64_t source(int axis, int64_t out, int64_t tap) const {
    const int64_t at = out * stride[axis] + tap * dilation[axis] - padding[axis];
    return at < (axis == 0 ? h : w) ? at : -1;
  }
  // The output that reads input `in` by `tap`, or -1 if none does.
  __device__ int64_t reader(int axis, int64_t in, int64_t tap) const {
    const int64_t at = in + padding[axis] - tap * dilation[axis];
    if (at < 0 || at % stride[axis] != 0) return -1;
    return at / stride[axis] < (axis == 0 ? p : q) ? at / stride[axis] : -1;
  }
  __device__ int64_t x_at(int64_t image, int64_t row, int64_t column, int64_t channel) const {
    return ((image * h + row) * w + column) * c + channel;
  }
  __device__ int64_t y_at(int64_t image, int64_t row, int64_t column, int64_t channel) const {
    return ((image * p + row) * q + column) * k + channel;
  }
  __device__ int64_t weight_at(int64_t filter, int64_t channel, int64_t row, int64_t column) const {
    return ((filter * group_c + channel) * r + row) * s + column;
  }
};

__global__ void forward_kernel(Sizes sizes, const float* x, const float* weight, RowTarget target) {
  for (int64_t i = first_element(); i < sizes.n * sizes.p * sizes.q * sizes.k;
       i += element_stride()) {
    const int64_t k = i % sizes.k, pixel = i / sizes.k;
    const int64_t q = pixel % sizes.q, p = pixel / sizes.q % sizes.p, n = pixel / sizes.q / sizes.p;
    const int64_t first_c = k / sizes.group_k * sizes.group_c;
    double sum = 0;
    for (int64_t r = 0; r < sizes.r; ++r)
      for (int64_t s = 0; s < sizes.s; ++s) {
        const int64_t h = sizes.source(0, p, r), w = sizes.source(1, q, s);
        if (h < 0 || w < 0) continue;
        for (int64_t c = 0; c < sizes.group_c; ++c)
          sum += static_cast<double>(x[sizes.x_at(n, h, w, first_c + c)]) *
                 weight[sizes.weight_at(k, c, r, s)];
      }
    target.store(0, pixel, k, static_cast<float>(sum));
  }
}

__global__ void backward_data_kernel(Sizes sizes, const float* dy, const float* weight,
                                     RowTarget target) {
  for (int64_t i = first_element(); i < sizes.n * sizes.h * sizes.w * sizes.c;
       i += element_stride()) {
    const int64_t c = i % sizes.c, pixel = i / sizes.c;
    const int64_t w = pixel % sizes.w, h = pixel / sizes.w % sizes.h, n = pixel / sizes.w / sizes.h;
    const int64_t first_k = c / sizes.group_c * sizes.group_k;
    double sum = 0;
    for (int64_t r = 0; r < sizes.r; ++r)
      for (int64_t s = 0; s < sizes.s; ++s) {
        const int64_t p = sizes.reader(0, h, r), q = sizes.reader(1, w, s);
        if (p < 0 || q < 0) continue;
        for (int64_t k = first_k; k < first_k + sizes.group_k; ++k)
          sum += static_cast<double>(dy[sizes.y_at(n, p, q, k)]) *
                 weight[sizes.weight_at(k, c % sizes.group_c, r, s)];
      }
    target.store(0, pixel, c, static_cast<float>(sum));
  }
}

__global__ void backward_weight_kernel(Sizes sizes, const float* dy, const float* x, float* dw) {
  for (int64_t i = first_element(); i < sizes.k * sizes.group_c * sizes.r * sizes.s;
       i += element_stride()) {
    const int64_t s = i % sizes.s, r = i / sizes.s % sizes.r, filter = i / sizes.s / sizes.r;
    const int64_t k = filter / sizes.group_c;
    const int64_t c = k / sizes.group_k * sizes.group_c + filter % sizes.group_c;
    double sum = 0;
    for (int64_t n = 0; n < sizes.n; ++n)
      for (int64_t p = 0; p < sizes.p; ++p)
        for (int64_t q = 0; q < sizes.q; ++q) {
          const int64_t h = sizes.source(0, p, r), w = sizes.source(1, q, s);
          if (h >= 0 && w >= 0)
            sum += static_cast<double>(dy[sizes.y_at(n, p, q, k)]) * x[sizes.x_at(n, h, w, c)];
        }
    dw[i] = static_cast<float>(sum);
  }
}

}  // namespace

void conv2d_naive_forward(const Conv2dShape& shape, const float* x, const float* weight,
                          const float* bias, TileActivation activation, float* y) {
  launch("conv2d_naive_forward", forward_kernel,
         over_elements(shape.n * shape.p * shape.q * shape.k), Sizes(shape), x, weight,
         rows_of(y, shape.k, bias, activation));
}

void conv2d_naive_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                const float* bias, float* dx) {
  launch("conv2d_naive_backward_data", backward_data_kernel,
         over_elements(shape.n * shape.h * shape.w * shape.c), Sizes(shape), dy, weight,
         rows_of(dx, shape.c, bias, TileActivation::kNone));
}

void conv2d_naive_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                  float* dw) {
  launch("conv2d_naive_backward_weight", backward_weight_kernel, over_elements(shape.weight_size()),
         Sizes(shape), dy, x, dw);
}

}  // namespace neurona
