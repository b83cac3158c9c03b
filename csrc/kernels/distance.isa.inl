// Tiles of distances in double: the differences of floats are exact there, and their squares nearly
// so. d is overwritten.
#include "kernels/distance.h"

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

// 4 rows of 8 doubles are 8 registers of AVX2 and leave 8 for y, x and the differences.
constexpr int kDoubles = kLanes / 2;
constexpr int kVecs = kDistanceColumns / kDoubles;
static_assert(kDistanceColumns % kDoubles == 0, "a row of the tile must be whole vectors");

typedef double DoubleVec __attribute__((vector_size(8 * kDoubles)));
typedef int64_t LongVec __attribute__((vector_size(8 * kDoubles)));
typedef double UnalignedDoubleVec __attribute__((vector_size(8 * kDoubles), aligned(8), may_alias));

template <Distance kDistance>
NEURONA_INLINE DoubleVec accumulate(DoubleVec sum, DoubleVec difference) {
  if constexpr (kDistance == Distance::kSquared) return sum + difference * difference;
  const LongVec magnitude = (LongVec)difference & (LongVec{} + INT64_MAX);
  return sum + (DoubleVec)magnitude;
}

template <Distance kDistance>
void tile(const double* x, const double* y, int64_t depth, double* d) {
  DoubleVec sums[kDistanceRows][kVecs] = {};
  for (int64_t k = 0; k < depth; ++k, x += kDistanceRows, y += kDistanceColumns) {
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) {
      const DoubleVec column = *reinterpret_cast<const UnalignedDoubleVec*>(y + j * kDoubles);
#pragma GCC unroll 4
      for (int i = 0; i < kDistanceRows; ++i)
        sums[i][j] = accumulate<kDistance>(sums[i][j], x[i] - column);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kDistanceRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j)
      *reinterpret_cast<UnalignedDoubleVec*>(d + i * kDistanceColumns + j * kDoubles) = sums[i][j];
}

}  // namespace

DistanceKernels distance_kernels() {
  return {{tile<Distance::kSquared>, tile<Distance::kAbsolute>}};
}

}  // namespace neurona::NEURONA_ISA
