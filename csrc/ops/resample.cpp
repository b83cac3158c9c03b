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

// The adjoint of an axis: for each row of x the rows of y that read it, those below first.
struct Readers {
  std::vector<int64_t> start;
  std::vector<int32_t> source;
  std::vector<float> weight;

  explicit Readers(const ResampleAxis& axis) : start(static_cast<size_t>(axis.length) + 2) {
    const bool mixed = !axis.above.empty();
    const size_t terms = axis.below.size() + axis.above.size();
    source.resize(terms);
    weight.resize(terms);
    // start[i + 1] counts, then says where row i goes on, and in the end where row i + 1 begins.
    for (int32_t row : axis.below) ++start[static_cast<size_t>(row) + 2];
    for (int32_t row : axis.above) ++start[static_cast<size_t>(row) + 2];
    for (size_t i = 2; i < start.size(); ++i) start[i] += start[i - 1];
    const auto put = [&](int32_t row, size_t reader, float share) {
      const auto at = static_cast<size_t>(start[static_cast<size_t>(row) + 1]++);
      source[at] = static_cast<int32_t>(reader);
      weight[at] = share;
    };
    for (size_t i = 0; i < axis.below.size(); ++i)
      put(axis.below[i], i, mixed ? 1.0f - axis.part[i] : 1.0f);
    for (size_t i = 0; i < axis.above.size(); ++i) put(axis.above[i], i, axis.part[i]);
  }

  ResampleSums sums() const {
    return {start.data(), source.data(), weight.data(), static_cast<int64_t>(start.size()) - 2};
  }
};

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
  const Readers row_readers(rows), column_readers(columns);
  const ResampleSums row_sums = row_readers.sums(), column_sums = column_readers.sums();
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
