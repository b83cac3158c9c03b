// add, sub, mul, div of two arrays, or of an array and a number.
#include "ops/elementwise.h"

#include <algorithm>

#include "bindings/array.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"
#include "core/broadcast_rules.h"

namespace neurona {
namespace {

PyObject* numpy_number_types() {
  static PyObject* types = [] {
    const auto numpy = py::module_::import("numpy");
    return py::make_tuple(numpy.attr("floating"), numpy.attr("integer")).release().ptr();
  }();
  return types;
}

// A Python or NumPy number, which takes the dtype of the array it meets; float_parameter refuses
// bool.
bool is_number(py::handle object) {
  return PyFloat_Check(object.ptr()) || PyLong_Check(object.ptr()) ||
         (!py::isinstance<py::array>(object) &&
          PyObject_IsInstance(object.ptr(), numpy_number_types()) == 1);
}

py::array with_number(const char* op, Arithmetic operation, const char* array_name,
                      py::handle array_object, const char* number_name, py::handle number_object,
                      bool number_first) {
  const auto number = static_cast<float>(float_parameter(op, number_name, number_object));
  const Order order = natural_order(array_object);
  const Input input = input_array(op, array_name, array_object, order);
  py::array result = new_floats(input.shape, order);
  float* y = floats(result);
  const int64_t count = input.size();
  run_kernel([=, x = input.data] {
    if (number_first) {
      arithmetic_scalar(operation, number, x, y, count);
    } else {
      arithmetic_scalar(operation, x, number, y, count);
    }
  });
  return result;
}

// Strides of `input` under the result's shape, 0 where it repeats.
std::vector<int64_t> broadcast_strides(const StridedInput& input, size_t ndim) {
  std::vector<int64_t> strides(ndim, 0);
  for (size_t i = 0, first = ndim - input.shape.size(); i < input.shape.size(); ++i)
    if (input.shape[i] != 1) strides[first + i] = input.strides[i];
  return strides;
}

int64_t product(const std::vector<int64_t>& shape) {
  int64_t size = 1;
  for (int64_t extent : shape) size *= extent;
  return size;
}

// Equal shapes and strides: what most additions in a network meet, found without copying either.
bool same_layout(py::handle a_object, py::handle b_object) {
  if (!py::isinstance<py::array>(a_object) || !py::isinstance<py::array>(b_object)) return false;
  const auto a = py::reinterpret_borrow<py::array>(a_object),
             b = py::reinterpret_borrow<py::array>(b_object);
  return a.ndim() == b.ndim() && std::equal(a.shape(), a.shape() + a.ndim(), b.shape()) &&
         std::equal(a.strides(), a.strides() + a.ndim(), b.strides());
}

py::array with_same_layout(const char* op, Arithmetic operation, py::handle a_object,
                           py::handle b_object) {
  const Order order = natural_order(a_object);
  const Input a = input_array(op, "a", a_object, order), b = input_array(op, "b", b_object, order);
  py::array result = new_floats(a.shape, order);
  float* y = floats(result);
  const int64_t count = a.size();
  run_kernel([=, a = a.data, b = b.data] { arithmetic_dense(operation, a, b, y, count); });
  return result;
}

py::array with_array(const char* op, Arithmetic operation, py::handle a_object,
                     py::handle b_object) {
  const StridedInput a = strided_array(op, "a", a_object), b = strided_array(op, "b", b_object);
  const std::vector<int64_t> shape = broadcast_shape(op, a.shape, b.shape);
  // The result lies in memory as its larger operand does.
  const bool a_leads = a.shape.size() > b.shape.size() ||
                       (a.shape.size() == b.shape.size() && product(a.shape) >= product(b.shape));
  py::array result = new_floats(shape, natural_order(a_leads ? a_object : b_object));
  float* y = floats(result);
  std::vector<int64_t> y_strides(result.strides(), result.strides() + result.ndim());
  for (int64_t& stride : y_strides) stride /= static_cast<int64_t>(sizeof(float));
  const Broadcast left{a.data, broadcast_strides(a, shape.size())},
      right{b.data, broadcast_strides(b, shape.size())};
  run_kernel([=] { arithmetic_broadcast(operation, left, right, y, shape, y_strides); });
  return result;
}

py::array arithmetic(const char* op, Arithmetic operation, py::handle a, py::handle b) {
  const bool a_number = is_number(a), b_number = is_number(b);
  if (a_number && b_number)
    fail_type(op, "a or b must be a NumPy array of float32, got two numbers");
  if (b_number) return with_number(op, operation, "a", a, "b", b, false);
  if (a_number) return with_number(op, operation, "b", b, "a", a, true);
  if (same_layout(a, b)) return with_same_layout(op, operation, a, b);
  return with_array(op, operation, a, b);
}

}  // namespace

void register_elementwise(py::module_& m) {
  m.def(
      "add", [](py::object a, py::object b) { return arithmetic("add", Arithmetic::kAdd, a, b); },
      py::arg("a"), py::arg("b"), "a + b with NumPy's broadcasting; a or b may be a number.");
  m.def(
      "sub", [](py::object a, py::object b) { return arithmetic("sub", Arithmetic::kSub, a, b); },
      py::arg("a"), py::arg("b"), "a - b with NumPy's broadcasting; a or b may be a number.");
  m.def(
      "mul", [](py::object a, py::object b) { return arithmetic("mul", Arithmetic::kMul, a, b); },
      py::arg("a"), py::arg("b"), "a * b with NumPy's broadcasting; a or b may be a number.");
  m.def(
      "div", [](py::object a, py::object b) { return arithmetic("div", Arithmetic::kDiv, a, b); },
      py::arg("a"), py::arg("b"), "a / b with NumPy's broadcasting; a or b may be a number.");
}

}  // namespace neurona
