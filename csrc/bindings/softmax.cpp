// softmax and log-softmax along any axis. Arrays are brought to canonical_order, so that a sum, and
// with it every bit, is the same whatever the strides of the input.
#include "ops/softmax.h"

#include "bindings/array.h"
#include "bindings/register.h"

namespace neurona {
namespace {

AxisView view_of(const Input& input, int64_t axis, Order order) {
  return axis_view(input.shape, axis, order == Order::kChannelsLast);
}

int64_t checked_axis(const char* op, const char* name, const Input& input, py::handle dim) {
  const int64_t axis = axis_parameter(op, "dim", dim, input.ndim());
  if (input.shape[axis] == 0)
    fail_value(op, name, " must not be empty along dim ", axis, ", got shape ",
               shape_text(input.shape.data(), input.ndim()));
  return axis;
}

template <typename Op>
py::array forward(const char* op, py::handle x_object, py::handle dim, const Op& run) {
  const Order order = canonical_order(x_object);
  const Input x = input_array(op, "x", x_object, order);
  const AxisView view = view_of(x, checked_axis(op, "x", x, dim), order);
  py::array result = new_floats(x.shape, order);
  float* y = floats(result);
  py::gil_scoped_release release;
  run(view, x.data, y);
  return result;
}

template <typename Op>
py::array backward(const char* op, py::handle dy_object, py::handle y_object, py::handle dim,
                   const Op& run) {
  const Order order = canonical_order(y_object);
  const Input y = input_array(op, "y", y_object, order),
              dy = input_array(op, "dy", dy_object, order);
  const AxisView view = view_of(y, checked_axis(op, "y", y, dim), order);
  if (dy.shape != y.shape)
    fail_value(op, "dy must have shape ", shape_text(y.shape.data(), y.ndim()), ", got shape ",
               shape_text(dy.shape.data(), dy.ndim()));
  py::array result = new_floats(y.shape, order);
  float* dx = floats(result);
  py::gil_scoped_release release;
  run(view, dy.data, y.data, dx);
  return result;
}

}  // namespace

void register_softmax(py::module_& m) {
  m.def(
      "softmax_forward",
      [](py::object x, py::object dim) { return forward("softmax", x, dim, softmax_forward); },
      py::arg("x"), py::arg("dim"), "exp(x - max) / sum exp(x - max) along dim -> y.");
  m.def(
      "softmax_backward",
      [](py::object dy, py::object y, py::object dim) {
        return backward("softmax_backward", dy, y, dim, softmax_backward);
      },
      py::arg("dy"), py::arg("y"), py::arg("dim"), "y (dy - sum dy y) along dim -> dx.");
  m.def(
      "log_softmax_forward",
      [](py::object x, py::object dim) {
        return forward("log_softmax", x, dim, log_softmax_forward);
      },
      py::arg("x"), py::arg("dim"), "x - max - log sum exp(x - max) along dim -> y.");
  m.def(
      "log_softmax_backward",
      [](py::object dy, py::object y, py::object dim) {
        return backward("log_softmax_backward", dy, y, dim, log_softmax_backward);
      },
      py::arg("dy"), py::arg("y"), py::arg("dim"), "dy - exp(y) sum dy along dim -> dx.");
}

}  // namespace neurona
