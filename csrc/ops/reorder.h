// The same elements of an image batch in the other memory order.
#pragma once

#include <cstdint>

namespace neurona {

// y[n][j][i] = x[n][i][j] for i < rows, j < columns: from channels-last (N, HW, C) to C order (N,
// C, HW), or back.
void reorder_images(const float* x, int64_t n, int64_t rows, int64_t columns, float* y);

}  // namespace neurona
