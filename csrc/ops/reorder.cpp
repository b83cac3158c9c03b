#include "ops/reorder.h"

#include <algorithm>

#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {

void reorder_images(const float* x, int64_t n, int64_t rows, int64_t columns, float* y) {
  // Pieces of an image too, so that a single large one keeps all threads busy.
  constexpr int64_t kRows = 256;
  const int64_t pieces = divide_up(rows, kRows);
  const auto transpose = kernels().gemm.transpose;
  parallel_for(
      n * pieces, grain_for(std::min(rows, kRows) * columns), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t image = i / pieces, row = i % pieces * kRows;
          transpose(x + (image * rows + row) * columns, columns, std::min(kRows, rows - row),
                    columns, y + image * rows * columns + row, rows);
        }
      });
}

}  // namespace neurona
