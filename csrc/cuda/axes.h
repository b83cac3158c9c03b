// Axes that several arrays walk together, as few of them as describe the walk: neighbours that all
// of the arrays walk evenly are merged into one.
#pragma once

#include <cstdint>

#include "core/errors.h"
#include "cuda/device.h"

namespace neurona {

constexpr int kMostAxes = 8;

// Innermost axis first; strides in elements.
template <int kArrays>
struct Axes {
  int count;
  int64_t extent[kMostAxes];
  int64_t stride[kMostAxes][kArrays];

  // The next axis outwards. Those of one element are left out.
  void add(const char* op, int64_t length, const int64_t (&strides)[kArrays]) {
    if (length == 1) return;
    if (count > 0 && continues(strides)) {
      extent[count - 1] *= length;
      return;
    }
    if (count == kMostAxes)
      fail_value(op, "arrays may have ", kMostAxes, " axes that cannot be merged, got more");
    extent[count] = length;
    for (int i = 0; i < kArrays; ++i) stride[count][i] = strides[i];
    ++count;
  }

  int64_t size() const {
    int64_t product = 1;
    for (int axis = 0; axis < count; ++axis) product *= extent[axis];
    return product;
  }

 private:
  bool continues(const int64_t (&strides)[kArrays]) const {
    for (int i = 0; i < kArrays; ++i)
      if (strides[i] != stride[count - 1][i] * extent[count - 1]) return false;
    return true;
  }
};

template <int kArrays>
struct Offsets {
  int64_t of[kArrays];
};

// Where element `index` lies in each array, counted along axes first, first + 1, ...; the outermost
// one needs no division.
template <int kArrays>
__device__ inline Offsets<kArrays> offsets_of(const Axes<kArrays>& axes, int64_t index,
                                              int first = 0) {
  Offsets<kArrays> offsets{};
  for (int axis = first; axis < axes.count; ++axis) {
    int64_t place = index;
    if (axis + 1 < axes.count) {
      index /= axes.extent[axis];
      place -= index * axes.extent[axis];
    }
    for (int i = 0; i < kArrays; ++i) offsets.of[i] += place * axes.stride[axis][i];
  }
  return offsets;
}

}  // namespace neurona
