// The three passes as products whose operands are read from where they lie ("implicit GEMM"):
//
//   forward          y  (pixels x K)      patches of x (pixels x R S C)  times  w (R S C x K)
//   backward data    dx (pixels x C)      patches of dy (pixels x R S K) times  w (R S K x C)
//   backward weight  dw (K x R S C)       dy (K x pixels)                times  patches of x
//
// The weights are first laid out with the channels innermost, as the images have them: a copy of
// some kilobytes. Of a 1 x 1 convolution all is dense: it is a matrix product.
#include "cuda/conv2d_targets.cuh"
#include "cuda/conv2d_variants.h"
#include "cuda/copy.h"
#include "cuda/product/any_product.cuh"
#include "cuda/product/epilogue.cuh"
#include "cuda/product/patches.cuh"

namespace neurona {
namespace {

// The taps of an axis that a product takes: first, first + step, ..
struct Taps {
  int64_t first, count, step;
};
Taps taps_of(const Remainder& set) { return {set.first_tap, set.taps, set.tap_step}; }

size_t filter_bytes(const Conv2dShape& shape, const Taps& down, const Taps& across) {
  return static_cast<size_t>(shape.k * shape.group_c() * down.count * across.count) * sizeof(float);
}

// (K, C / groups, R, S) with the taps `down` and `across` in the order of `axes` (0 group,
// 1 K / groups, 2 C / groups, 3 R, 4 S).
void lay_out(const Conv2dShape& shape, const float* weight, const Taps& down, const Taps& across,
             const int (&axes)[5], float* target) {
  constexpr int64_t kItem = sizeof(float);
  const int64_t taps = shape.r * shape.s, filter = shape.group_c() * taps;
  const int64_t extents[5] = {shape.groups, shape.group_k(), shape.group_c(), down.count,
                              across.count};
  const int64_t strides[5] = {shape.group_k() * filter, filter, taps, down.step * shape.s,
                              across.step};
  StridedCopy copy{std::vector<int64_t>(5), std::vector<int64_t>(5), std::vector<int64_t>(5),
                   kItem};
  int64_t step = kItem;
  for (int i = 5; i-- > 0;) {
    copy.shape[i] = extents[axes[i]];
    copy.from_strides[i] = strides[axes[i]] * kItem;
    copy.to_strides[i] = step;
    step *= copy.shape[i];
  }
  if (step > 0) copy_strided(copy, weight + down.first * shape.s + across.first, target);
}

// dw[k, c, r, s] from (k of the group, (r, s, c)): neighbouring columns are channels, which lie r s
// apart.
struct WeightTarget {
  float* dw;
  int64_t group_k, group_c, taps;
  Divisor by_c;

  using Row = float*;
  template <int kRun>
  struct Columns {
    int count;
    int64_t places[kRun];
  };

  __device__ Row row(int64_t group, int64_t k) const {
    return dw + (group * group_k + k) * group_c * taps;
  }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t /* group */, int64_t n, int count) const {
    Columns<kRun> columns{count, {}};
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i) {
      const Divided channel = divide(n + i, by_c);
      columns.places[i] = channel.remainder * taps + channel.quotient;
    }
    return columns;
  }
  template <int kRun>
  __device__ void store(const Row& row, const Columns<kRun>& columns, const Run<kRun>& sums) const {
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i)
      if (i < columns.count) row[columns.places[i]] = sums.at[i];
  }
  // Nothing lies side by side; but of a whole run nothing has to be asked.
  template <int kRun>
  __device__ bool stores_together() const {
    return true;
  }
  template <int kRun>
  __device__ void store_together(const Row& row, const Columns<kRun>& columns,
                                 const Run<kRun>& sums) const {
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i) row[columns.places[i]] = sums.at[i];
  }
};

// A 1 x 1 convolution is the product of two matrices as they lie in memory, unless it is that of a
// transposed one with output_padding, whose image is larger than what the taps cover.
bool is_dense(const Conv2dShape& shape) {
  return shape.r * shape.s * shape.groups * shape.stride[0] * shape.stride[1] == 1 &&
         shape.padding[0] + shape.padding[1] == 0 && shape.p == shape.h && shape.q == shape.w;
}

}  // namespace

void conv2d_direct_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const float* bias, TileActivation activation, float* y) {
  GemmEpilogue epilogue;
  epilogue.bias = bias;
  epilogue.activation = activation;
  if (is_dense(shape))
    return gemm({shape.n * shape.p * shape.q, shape.k, shape.c}, {x, shape.c, false},
                {weight, shape.c, true}, y, shape.k, epilogue);
  const RowTarget target{y, shape.k, shape.group_k(), epilogue};
  if (conv2d_packed_forward(shape, x, weight, target)) return;
  const Taps down{0, shape.r, 1}, across{0, shape.s, 1};
  const Workspace filters(filter_bytes(shape, down, across));
  lay_out(shape, weight, down, across, {0, 1, 3, 4, 2}, filters.as<float>());
  const int64_t depth = shape.r * shape.s * shape.group_c();
  const DenseSource<true> columns{filters.as<const float>(), shape.group_k(), depth,
                                  shape.group_k() * depth};
  product("conv2d_forward", {shape.n * shape.p * shape.q, shape.group_k(), depth, shape.groups},
          PatchSource<true>(shape, x), columns, target);
}

void conv2d_direct_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const float* bias, float* dx) {
  GemmEpilogue epilogue;
  epilogue.bias = bias;
  if (is_dense(shape))
    return gemm({shape.n * shape.p * shape.q, shape.c, shape.k}, {dy, shape.k, false},
                {weight, shape.c, false}, dx, shape.c, epilogue);
  const RowTarget pixels{dx, shape.c, shape.group_c(), epilogue};
  if (conv2d_packed_backward_data(shape, dy, weight, pixels)) return;
  // Each product has its own taps' filters, one below the other: a matrix, of which no place has to
  // be computed.
  for_remainders(shape, [&](const Remainder& rows, const Remainder& columns) {
    const Taps down = taps_of(rows), across = taps_of(columns);
    const Workspace filters(filter_bytes(shape, down, across));
    lay_out(shape, weight, down, across, {0, 3, 4, 1, 2}, filters.as<float>());
    const int64_t depth = rows.taps * columns.taps * shape.group_k();
    const DenseSource<false> channels{filters.as<const float>(), shape.group_c(), shape.group_c(),
                                      depth * shape.group_c()};
    product("conv2d_backward_data",
            {shape.n * rows.count * columns.count, shape.group_c(), depth, shape.groups},
            GradientSource(shape, rows, columns, dy), channels,
            pixel_target(shape, rows, columns, pixels));
  });
}

void conv2d_direct_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw) {
  if (is_dense(shape))
    return gemm({shape.k, shape.c, shape.n * shape.p * shape.q}, {dy, shape.k, true},
                {x, shape.c, false}, dw, shape.c, {});
  if (conv2d_packed_backward_weight(shape, dy, x, dw)) return;
  const DenseSource<false> gradients{dy, shape.group_k(), shape.k, shape.group_k()};
  const WeightTarget target{dw, shape.group_k(), shape.group_c(), shape.r * shape.s,
                            Divisor(shape.group_c())};
  product("conv2d_backward_weight",
          {shape.group_k(), shape.r * shape.s * shape.group_c(), shape.n * shape.p * shape.q,
           shape.groups},
          gradients, PatchSource<false>(shape, x), target);
}

}  // namespace neurona
