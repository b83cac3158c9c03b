#include "ops/resample.h"

#include <algorithm>
#include <optional>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

ResampleTaps taps_of(const ResampleAxis& axis) {
  const bool mixed = !axis.above.empty();
  return {axis.below.data(), mixed ? axis.above.data() : nullptr, axis.part.data(), axis.count()};
}

ResampleSums sums_of(const ResampleReaders& readers) {
  return {readers.start.data(), readers.source.data(), readers.weight.data(),
          static_cast<int64_t>(readers.start.size()) - 2};
}

}  // namespace

void resample2d_forward(int64_t images, int64_t channels, const ResampleAxis& rows,
                        const ResampleAxis& columns, const float* x, float* y) {
  const int64_t x_row = columns.length * channels, y_row = columns.count() * channels;
  const ResampleTaps taps = taps_of(columns);
  const auto& kernel = kernels().resample;
  const bool mixed = !rows.above.empty();
  const float* x_end = x + images * rows.length * x_row;
  parallel_for(images * rows.count(), grain_for(4 * (x_row + y_row)),
               [&](int64_t begin, int64_t end) {
                 std::optional<Scratch<float>> blended;
                 if (mixed) blended.emplace(x_row);
                 for (int64_t i = begin; i < end; ++i) {
                   const auto p = static_cast<size_t>(i % rows.count());
                   const float* image = x + i / rows.count() * rows.length * x_row;
                   const float* below = image + rows.below[p] * x_row;
                   float* out = y + i * y_row;
                   if (mixed) {
                     const float* above = image + rows.above[p] * x_row;
                     kernel.blend(below, above, rows.part[p], blended->data(), x_row);
                     kernel.read_row(taps, channels, blended->data(), blended->data() + x_row, out,
                                     y + end * y_row);
                   } else if (i > begin && p > 0 && rows.below[p] == rows.below[p - 1]) {
                     std::copy_n(out - y_row, y_row, out);
                   } else {
                     kernel.read_row(taps, channels, below, x_end, out, y + end * y_row);
                   }
                 }
               });
}

void resample2d_backward(int64_t images, int64_t channels, const ResampleAxis& rows,
                         const ResampleAxis& columns, const float* dy, float* dx) {
  const int64_t dx_row = columns.length * channels, dy_row = columns.count() * channels;
  const ResampleReaders row_readers(rows), column_readers(columns);
  const ResampleSums row_sums = sums_of(row_readers), column_sums = sums_of(column_readers);
  const auto& kernel = kernels().resample;
  const int64_t terms = static_cast<int64_t>(row_readers.source.size()) / rows.length + 1;
  parallel_for(images * rows.length, grain_for(4 * (dx_row + terms * dy_row)),
               [&](int64_t begin, int64_t end) {
                 const Scratch<float> summed(dy_row);
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = row_sums.start[i % rows.length];
                   const float* image = dy + i / rows.length * rows.count() * dy_row;
                   kernel.sum_rows(row_sums.source + first, row_sums.weight + first,
                                   row_sums.start[i % rows.length + 1] - first, image,
                                   summed.data(), dy_row);
                   kernel.sum_row(column_sums, channels, summed.data(), summed.data() + dy_row,
                                  dx + i * dx_row, dx + end * dx_row);
                 }
               });
}

}  // namespace neurona
