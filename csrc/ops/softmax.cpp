#include "ops/softmax.h"

#include <algorithm>

#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// An element costs about as much as moving this many bytes: three passes and an exponential.
constexpr int64_t kCost = 16;
// Columns per piece of work: a row of 1 KiB keeps the prefetchers busy, and a slab of up to 128
// rows in L2.
constexpr int64_t kSlab = 256;

// Rows when the axis is innermost, else slabs of columns. rows(first, count) and columns(offset,
// count) do the work.
template <typename Rows, typename Columns>
void for_each_part(const AxisView& view, const Rows& rows, const Columns& columns) {
  if (view.length == 0 || view.inner == 0) return;
  if (view.inner == 1)
    return parallel_for(
        view.outer, grain_for(view.length * kCost),
        [&](int64_t begin, int64_t end) { rows(begin * view.length, end - begin); });
  const int64_t slabs = (view.inner + kSlab - 1) / kSlab;
  parallel_for(view.outer * slabs, grain_for(view.length * std::min(kSlab, view.inner) * kCost),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = i % slabs * kSlab;
                   columns(i / slabs * view.length * view.inner + first,
                           std::min(kSlab, view.inner - first));
                 }
               });
}

}  // namespace

void softmax_forward(const AxisView& view, const float* x, float* y) {
  const SoftmaxKernels& kernel = kernels().softmax;
  for_each_part(
      view,
      [&](int64_t offset, int64_t rows) {
        kernel.softmax_rows(x + offset, y + offset, rows, view.length, {});
      },
      [&](int64_t offset, int64_t columns) {
        kernel.softmax_columns(x + offset, y + offset, view.length, columns, view.inner);
      });
}

void log_softmax_forward(const AxisView& view, const float* x, float* y) {
  const SoftmaxKernels& kernel = kernels().softmax;
  for_each_part(
      view,
      [&](int64_t offset, int64_t rows) {
        kernel.log_softmax_rows(x + offset, y + offset, rows, view.length);
      },
      [&](int64_t offset, int64_t columns) {
        kernel.log_softmax_columns(x + offset, y + offset, view.length, columns, view.inner);
      });
}

void softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx) {
  const SoftmaxKernels& kernel = kernels().softmax;
  for_each_part(
      view,
      [&](int64_t offset, int64_t rows) {
        kernel.softmax_backward_rows(dy + offset, y + offset, dx + offset, rows, view.length);
      },
      [&](int64_t offset, int64_t columns) {
        kernel.softmax_backward_columns(dy + offset, y + offset, dx + offset, view.length, columns,
                                        view.inner);
      });
}

void log_softmax_backward(const AxisView& view, const float* dy, const float* y, float* dx) {
  const SoftmaxKernels& kernel = kernels().softmax;
  for_each_part(
      view,
      [&](int64_t offset, int64_t rows) {
        kernel.log_softmax_backward_rows(dy + offset, y + offset, dx + offset, rows, view.length);
      },
      [&](int64_t offset, int64_t columns) {
        kernel.log_softmax_backward_columns(dy + offset, y + offset, dx + offset, view.length,
                                            columns, view.inner);
      });
}

}  // namespace neurona
