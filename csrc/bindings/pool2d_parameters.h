// Parameters that all poolings share.
#pragma once

#include <array>
#include <vector>

#include "bindings/array.h"
#include "core/pool2d_shape.h"

namespace neurona {

// A stride of None is the kernel size. The rules are checked by check_window and pool2d_shape.
inline Pool2dWindow window_parameters(const char* op, py::handle kernel_size, py::handle stride,
                                      py::handle padding, py::handle dilation,
                                      py::handle ceil_mode) {
  Pool2dWindow window;
  window.kernel = pair_parameter(op, "kernel_size", kernel_size);
  window.stride = stride.is_none() ? window.kernel : pair_parameter(op, "stride", stride);
  window.padding = pair_parameter(op, "padding", padding);
  if (dilation) window.dilation = pair_parameter(op, "dilation", dilation);
  window.ceil_mode = bool_parameter(op, "ceil_mode", ceil_mode);
  return window;
}

// A pair (height, width) of sizes from 1 on.
inline std::array<int64_t, 2> image_parameter(const char* op, const char* name, py::handle value) {
  const auto image = pair_parameter(op, name, value);
  check_range(op, name, image, 1);
  return image;
}

// The four sizes of a 4-D array of which only the batch may be empty.
inline std::array<int64_t, 4> image_sizes(const char* op, const char* argument, const Input& x,
                                          const char* layout) {
  const std::array<int64_t, 4> sizes{x.shape[0], x.shape[1], x.shape[2], x.shape[3]};
  check_not_empty(op, argument, sizes, layout);
  return sizes;
}

inline void check_output_shape(const char* op, const char* argument,
                               const std::vector<int64_t>& got, const Pool2dShape& shape) {
  const std::array<int64_t, 4> expected{shape.n, shape.c, shape.p, shape.q};
  check_not_empty(op, argument, {got[0], got[1], got[2], got[3]}, "(N, C, P, Q)");
  for (size_t axis = 0; axis < 4; ++axis)
    if (got[axis] != expected[axis])
      fail_value(op, argument, " must have shape ", shape_text(expected.data(), 4), ", got shape ",
                 shape_text(got.data(), 4));
}

}  // namespace neurona
