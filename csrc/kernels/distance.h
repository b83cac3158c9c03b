// Distances between rows, for tiles of 4 x 8 pairs; see ops/distance.h.
#pragma once

#include <stdint.h>

namespace neurona {

enum class Distance : int32_t { kSquared, kAbsolute };
constexpr int kDistanceCount = 2;
constexpr int64_t kDistanceRows = 4, kDistanceColumns = 8;

struct DistanceKernels {
  // d[i * 8 + j] = sum over k < depth of (x[4 k + i] - y[8 k + j])^2, or of the absolute values.
  void (*tile[kDistanceCount])(const double* x, const double* y, int64_t depth, double* d);
};

}  // namespace neurona
