// All distances between the rows of x (n, depth) and of y (m, depth), in double.
#pragma once

#include <cstdint>

#include "kernels/distance.h"

namespace neurona {

// d (n, m) is overwritten: sums of squares or absolute values, or with `root` their square roots,
// with `square` their squares.
struct DistanceForm {
  Distance distance;
  bool root, square;
};

void pairwise_distances(const DistanceForm& form, int64_t n, int64_t m, int64_t depth,
                        const float* x, const float* y, double* d);

}  // namespace neurona
