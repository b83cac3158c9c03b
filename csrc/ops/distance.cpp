#include "ops/distance.h"

#include <algorithm>
#include <cmath>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// `rows` rows of x, from `first` on, in columns of kRows doubles; 0 for rows that there are not.
template <int64_t kRows>
void pack(const float* x, int64_t first, int64_t rows, int64_t depth, double* packed) {
  const int64_t there = std::min(kRows, rows - first);
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t i = 0; i < kRows; ++i)
      packed[k * kRows + i] = i < there ? x[(first + i) * depth + k] : 0.0;
}

}  // namespace

void pairwise_distances(const DistanceForm& form, int64_t n, int64_t m, int64_t depth,
                        const float* x, const float* y, double* d) {
  const int64_t blocks = (n + kDistanceRows - 1) / kDistanceRows;
  const int64_t panels = (m + kDistanceColumns - 1) / kDistanceColumns;
  const Scratch<double> packed_y(panels * kDistanceColumns * depth);
  parallel_for(panels, grain_for(16 * kDistanceColumns * depth), [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel)
      pack<kDistanceColumns>(y, panel * kDistanceColumns, m, depth,
                             packed_y.data() + panel * kDistanceColumns * depth);
  });
  const auto tile = kernels().distance.tile[static_cast<int>(form.distance)];
  const int64_t cost = 3 * kDistanceRows * kDistanceColumns * (depth + 4);
  parallel_for(blocks * panels, grain_for(cost / 4), [&](int64_t begin, int64_t end) {
    const Scratch<double> packed_x(kDistanceRows * depth);
    double found[kDistanceRows * kDistanceColumns];
    int64_t packed_block = -1;
    for (int64_t at = begin; at < end; ++at) {
      const int64_t block = at / panels, panel = at % panels;
      if (block != packed_block)
        pack<kDistanceRows>(x, block * kDistanceRows, n, depth, packed_x.data());
      packed_block = block;
      tile(packed_x.data(), packed_y.data() + panel * kDistanceColumns * depth, depth, found);
      const int64_t rows = std::min(kDistanceRows, n - block * kDistanceRows);
      const int64_t columns = std::min(kDistanceColumns, m - panel * kDistanceColumns);
      for (int64_t i = 0; i < rows; ++i) {
        double* out = d + (block * kDistanceRows + i) * m + panel * kDistanceColumns;
        for (int64_t j = 0; j < columns; ++j) {
          const double sum = found[i * kDistanceColumns + j];
          out[j] = form.root ? std::sqrt(sum) : form.square ? sum * sum : sum;
        }
      }
    }
  });
}

}  // namespace neurona
