#include "bindings/array.h"

#include <cmath>
#include <cstdio>
#include <new>
#include <utility>

#include "bindings/memory.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

// Row-major strides of `shape` in the given order, in bytes.
std::vector<py::ssize_t> dense_strides(const std::vector<int64_t>& shape, Order order,
                                       int64_t item) {
  const size_t n = shape.size();
  std::vector<py::ssize_t> strides(n);
  std::vector<size_t> fastest_first;
  if (order == Order::kChannelsLast && (n == 4 || n == 3)) fastest_first.push_back(1);
  for (size_t i = n; i-- > 0;)
    if (fastest_first.empty() || i != fastest_first[0]) fastest_first.push_back(i);
  int64_t step = item;
  for (size_t axis : fastest_first) {
    strides[axis] = step;
    step *= shape[axis] > 0 ? shape[axis] : 1;
  }
  return strides;
}

// Axes of extent 1 and empty arrays have no order to break. Every call of a kernel comes here, so
// nothing is allocated.
bool is_dense(const py::array& array, const std::vector<int64_t>& shape, Order order) {
  const size_t n = shape.size();
  for (size_t i = 0; i < n; ++i)
    if (shape[i] == 0) return true;
  int64_t step = array.itemsize();
  const auto follows = [&](size_t axis) {
    const bool fits = shape[axis] == 1 || array.strides(axis) == step;
    step *= shape[axis];
    return fits;
  };
  const bool channels_lead = order == Order::kChannelsLast && (n == 4 || n == 3);
  if (channels_lead && !follows(1)) return false;
  for (size_t i = n; i-- > 0;)
    if (!(channels_lead && i == 1) && !follows(i)) return false;
  return true;
}

std::vector<int64_t> shape_of(const py::array& array) {
  return std::vector<int64_t>(array.shape(), array.shape() + array.ndim());
}

bool is_aligned(const py::array& array) {
  return reinterpret_cast<uintptr_t>(array.data()) % array.itemsize() == 0;
}

std::string type_name(py::handle object) {
  return py::str(py::type::handle_of(object).attr("__name__"));
}

PyTypeObject* ndarray_type() {
  static PyObject* type = py::object(py::module_::import("numpy").attr("ndarray")).release().ptr();
  return reinterpret_cast<PyTypeObject*>(type);
}

// The array behind `object`, known to be float32 in either byte order.
py::array any_float_array(const char* op, const char* argument, py::handle object) {
  if (!py::isinstance<py::array>(object))
    fail_type(op, argument, " must be a NumPy array of float32, got ", type_name(object));
  // Subclasses may change what the elements mean; a masked array would silently lose its mask.
  if (Py_TYPE(object.ptr()) != ndarray_type() && py::hasattr(object, "mask"))
    fail_type(op, argument, " must be a plain array, got ", type_name(object));
  auto array = py::reinterpret_borrow<py::array>(object);
  const auto dtype = array.dtype();
  if (dtype.kind() != 'f' || dtype.itemsize() != 4)
    fail_type(op, argument, " must be float32, got ", std::string(py::str(dtype)),
              "; use .astype(np.float32)");
  return array;
}

// The same, known to lie where the kernels reach it.
py::array float_array(const char* op, const char* argument, py::handle object) {
  py::array array = any_float_array(op, argument, object);
  check_home(op, argument, array);
  return array;
}

// The array behind `object`, known to be int64 in either byte order.
py::array any_int64_array(const char* op, const char* argument, py::handle object) {
  if (!py::isinstance<py::array>(object))
    fail_type(op, argument, " must be a NumPy array of int64, got ", type_name(object));
  if (Py_TYPE(object.ptr()) != ndarray_type() && py::hasattr(object, "mask"))
    fail_type(op, argument, " must be a plain array, got ", type_name(object));
  auto array = py::reinterpret_borrow<py::array>(object);
  const py::dtype dtype = array.dtype();
  if (dtype.kind() != 'i' || dtype.itemsize() != 8)
    fail_type(op, argument, " must have dtype int64, got ", std::string(py::str(dtype)));
  return array;
}

Input dense_input(py::array array, Order order) {
  Input input;
  input.holder = std::move(array);
  input.shape = shape_of(input.holder);
  const char byte_order = input.holder.dtype().byteorder();
  const bool native = byte_order == '=' || byte_order == '|' ||
                      byte_order == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<' : '>');
  if (!native || !is_aligned(input.holder) || !is_dense(input.holder, input.shape, order))
    input.holder = copied(input.holder, order);
  input.data = static_cast<const float*>(input.holder.data());
  return input;
}

}  // namespace

Input input_array(const char* op, const char* argument, py::handle object, Order order) {
  return dense_input(float_array(op, argument, object), order);
}

Input input_array(const char* op, const char* argument, py::handle object, Order order,
                  int64_t ndim, const char* layout) {
  py::array array = float_array(op, argument, object);
  if (array.ndim() != ndim)
    fail_value(op, argument, " must have shape ", layout, ", got ",
               shape_text(shape_of(array).data(), array.ndim()));
  return dense_input(std::move(array), order);
}

Input optional_array(const char* op, const char* argument, py::handle object, Order order) {
  return object.is_none() ? Input{} : input_array(op, argument, object, order);
}

IntInput int_array(const char* op, const char* argument, py::handle object, Order order) {
  IntInput input;
  input.holder = any_int64_array(op, argument, object);
  check_home(op, argument, input.holder);
  input.shape = shape_of(input.holder);
  const char byte_order = input.holder.dtype().byteorder();
  if (byte_order == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<') ||
      !is_aligned(input.holder) || !is_dense(input.holder, input.shape, order))
    input.holder = copied(input.holder, order);
  input.data = static_cast<const int64_t*>(input.holder.data());
  return input;
}

IntInput int_table(const char* op, const char* argument, py::handle object) {
  const py::array array = any_int64_array(op, argument, object);
  check_on_host(op, argument, array);
  IntInput input;
  input.holder = py::array_t<int64_t, py::array::c_style | py::array::forcecast>(array);
  input.shape = shape_of(input.holder);
  input.data = static_cast<const int64_t*>(input.holder.data());
  return input;
}

Input float_table(const char* op, const char* argument, py::handle object) {
  const py::array array = any_float_array(op, argument, object);
  check_on_host(op, argument, array);
  Input input;
  input.holder = py::array_t<float, py::array::c_style | py::array::forcecast>(array);
  input.shape = shape_of(input.holder);
  input.data = static_cast<const float*>(input.holder.data());
  return input;
}

StridedInput strided_array(const char* op, const char* argument, py::handle object) {
  StridedInput input;
  input.holder = float_array(op, argument, object);
  input.shape = shape_of(input.holder);
  const char byte_order = input.holder.dtype().byteorder();
  bool walkable = byte_order != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<') &&
                  is_aligned(input.holder);
  for (py::ssize_t axis = 0; axis < input.holder.ndim(); ++axis)
    walkable = walkable && input.holder.strides(axis) % input.holder.itemsize() == 0;
  if (!walkable) input.holder = copied(input.holder, Order::kC);
  input.data = static_cast<const float*>(input.holder.data());
  for (py::ssize_t axis = 0; axis < input.holder.ndim(); ++axis)
    input.strides.push_back(input.holder.strides(axis) / input.holder.itemsize());
  return input;
}

Input bias_array(const char* op, py::handle bias, int64_t n) {
  Input input = optional_array(op, "bias", bias, Order::kC);
  if (input.data && (input.ndim() != 1 || input.shape[0] != n))
    fail_value(op, "bias must have shape (", n, ",), got ",
               shape_text(input.shape.data(), input.ndim()));
  return input;
}

Order natural_order(py::handle object) {
  if (!py::isinstance<py::array>(object)) return Order::kC;
  const auto array = py::reinterpret_borrow<py::array>(object);
  return is_dense(array, shape_of(array), Order::kChannelsLast) ? Order::kChannelsLast : Order::kC;
}

InOut inout_array(const char* op, const char* argument, py::handle object) {
  InOut result;
  result.holder = float_array(op, argument, object);
  result.shape = shape_of(result.holder);
  if (!result.holder.writeable())
    fail_value(op, argument, " must be writable, got a read-only array");
  const char byte_order = result.holder.dtype().byteorder();
  if (!is_aligned(result.holder) ||
      byte_order == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '>' : '<') ||
      !(is_dense(result.holder, result.shape, Order::kC) ||
        is_dense(result.holder, result.shape, Order::kChannelsLast)))
    fail_value(op, argument, " must be a dense, aligned array in native byte order, got strides ",
               shape_text(std::vector<int64_t>(result.holder.strides(),
                                               result.holder.strides() + result.holder.ndim())
                              .data(),
                          result.holder.ndim()));
  result.data = static_cast<float*>(result.holder.mutable_data());
  result.size = result.holder.size();
  return result;
}

py::array new_array(const py::dtype& dtype, const std::vector<int64_t>& shape, Order order) {
  double wanted = static_cast<double>(dtype.itemsize());  // exact sizes may overflow 64 bits
  for (int64_t extent : shape) wanted *= static_cast<double>(extent);
  py::capsule owner;
  try {
    if (wanted > 0x1p46) throw std::bad_alloc();
    owner = new_memory(static_cast<size_t>(wanted));
  } catch (const std::bad_alloc&) {
    const std::string text = shape_text(shape.data(), static_cast<int64_t>(shape.size()));
    char message[256];
    std::snprintf(message, sizeof message,
                  "neurona: cannot allocate %.6g bytes for an array of shape %s", wanted,
                  text.c_str());
    py::set_error(PyExc_MemoryError, message);
    throw py::error_already_set();
  }
  return py::array(dtype, std::vector<py::ssize_t>(shape.begin(), shape.end()),
                   dense_strides(shape, order, dtype.itemsize()), owner.get_pointer(), owner);
}

py::array copied(const py::array& source, Order order) {
  refuse_recording("an array had to be copied into another memory order");
  py::array copy = new_array(source.dtype().attr("newbyteorder")("="), shape_of(source), order);
  copy_elements(copy, source);
  return copy;
}

py::array new_floats(const std::vector<int64_t>& shape, Order order) {
  static PyObject* dtype = py::dtype::of<float>().release().ptr();
  return new_array(py::reinterpret_borrow<py::dtype>(dtype), shape, order);
}

int64_t int_parameter(const char* op, const char* name, py::handle value) {
  const bool numpy_scalar = !PyLong_Check(value.ptr()) && PyIndex_Check(value.ptr());
  if (PyBool_Check(value.ptr()) || !(PyLong_Check(value.ptr()) || numpy_scalar))
    fail_type(op, name, " must be an int, got ", type_name(value), " ",
              std::string(py::repr(value)));
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!number) {
    PyErr_Clear();
    fail_type(op, name, " must be an int, got ", type_name(value));
  }
  int overflow = 0;
  const long long result = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow) fail_value(op, name, " must fit in 64 bits, got ", std::string(py::str(number)));
  return result;
}

std::array<int64_t, 2> pair_parameter(const char* op, const char* name, py::handle value) {
  if (PyTuple_Check(value.ptr()) || PyList_Check(value.ptr())) {
    const auto sequence = py::reinterpret_borrow<py::sequence>(value);
    if (sequence.size() != 2)
      fail_value(op, name, " must be an int or a pair of ints, got ", sequence.size(), " values");
    std::array<int64_t, 2> pair{};
    for (size_t i = 0; i < 2; ++i) {
      const py::object item = sequence[i];
      if (PyTuple_Check(item.ptr()) || PyList_Check(item.ptr()))
        fail_value(op, name, " must be an int or a pair of ints, got ",
                   std::string(py::repr(value)));
      pair[i] = int_parameter(op, name, item);
    }
    return pair;
  }
  if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr()))
    fail_type(op, name, " must be an int or a pair of ints, got ", type_name(value), " ",
              std::string(py::repr(value)));
  const int64_t both = int_parameter(op, name, value);
  return {both, both};
}

bool bool_parameter(const char* op, const char* name, py::handle value) {
  static PyObject* numpy_bool =
      py::object(py::module_::import("numpy").attr("bool_")).release().ptr();
  if (!PyBool_Check(value.ptr()) && !py::isinstance(value, numpy_bool))
    fail_type(op, name, " must be True or False, got ", std::string(py::repr(value)));
  return PyObject_IsTrue(value.ptr()) == 1;
}

double float_parameter(const char* op, const char* name, py::handle value) {
  if (PyBool_Check(value.ptr()) || PyUnicode_Check(value.ptr()))
    fail_type(op, name, " must be a number, got ", type_name(value));
  const double result = PyFloat_AsDouble(value.ptr());
  if (result == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    fail_type(op, name, " must be a number, got ", type_name(value));
  }
  return result;
}

double finite_parameter(const char* op, const char* name, py::handle value) {
  const double number = float_parameter(op, name, value);
  if (!std::isfinite(number)) fail_value(op, name, " must be finite, got ", number);
  return number;
}

int64_t axis_parameter(const char* op, const char* name, py::handle value, int64_t ndim) {
  const int64_t axis = int_parameter(op, name, value);
  if (axis < -ndim || axis >= ndim)
    fail_value(op, name, " must be between ", -ndim, " and ", ndim - 1, ", got ", axis);
  return axis < 0 ? axis + ndim : axis;
}

}  // namespace neurona
