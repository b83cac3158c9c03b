// Sums, means and maxima over axes of a dense array.
#pragma once

#include <cstdint>
#include <vector>

#include "core/axis_view.h"

namespace neurona {

// An axis of x, listed in memory order, outermost first.
struct ReduceAxis {
  int64_t extent;
  bool reduced;
  int64_t y_stride;  // of the result in elements, for an axis that is kept
};

// y = sum of x over the reduced axes, divided by `divisor`. Block sums in float32, their sum in
// double; the order depends on the shape alone.
void sum_axes(const std::vector<ReduceAxis>& axes, const float* x, double divisor, float* y);

// y[0] = the largest of count >= 1 elements; NaN wins.
void max_all(const float* x, int64_t count, float* y);
// The largest element along the axis and its first position, values and indices being outer x
// inner; NaN wins.
void max_axis(const AxisView& view, const float* x, float* values, int64_t* indices);

}  // namespace neurona
