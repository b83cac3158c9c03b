#include "core/resample_rules.h"

#include <cstddef>

namespace neurona {

ResampleReaders::ResampleReaders(const ResampleAxis& axis)
    : start(static_cast<size_t>(axis.length) + 2) {
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

}  // namespace neurona
