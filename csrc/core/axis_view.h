// An array seen along one of its axes in memory order: outer x length x inner, the axis in the
// middle.
#pragma once

#include <cstdint>
#include <vector>

namespace neurona {

struct AxisView {
  int64_t outer, length, inner;
};

// `channels_last`: the memory order is N..C under a shape N C ..; otherwise it is C order.
inline AxisView axis_view(const std::vector<int64_t>& shape, int64_t axis, bool channels_last) {
  const auto ndim = static_cast<int64_t>(shape.size());
  const auto position = [&](int64_t i) { return channels_last && i == 1 ? ndim : i; };
  AxisView view{1, shape[axis], 1};
  for (int64_t i = 0; i < ndim; ++i)
    if (i != axis) (position(i) < position(axis) ? view.outer : view.inner) *= shape[i];
  return view;
}

}  // namespace neurona
