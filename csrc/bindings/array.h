// Arrays and parameters from Python, checked once and translated; the only helpers that the
// bindings need.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/errors.h"

namespace neurona {

namespace py = pybind11;

// Physical order of a dense array: C order, or channels-last, which is NHWC memory under an NCHW
// shape for 4-D arrays (N L C under N C L for 3-D) and the same as C order for other ranks.
enum class Order { kC, kChannelsLast };

// A float32 input, dense in the order asked for: the array itself when it already is, else a copy
// of it.
struct Input {
  py::array holder;
  const float* data = nullptr;
  std::vector<int64_t> shape;

  int64_t ndim() const { return static_cast<int64_t>(shape.size()); }
  int64_t size() const {
    int64_t n = 1;
    for (int64_t extent : shape) n *= extent;
    return n;
  }
};

// TypeError unless `object` is a NumPy float32 array; copies when strides, alignment or byte order
// demand it.
Input input_array(const char* op, const char* argument, py::handle object, Order order);
// The same with a rank check: ValueError naming `layout`, for example "(N, C, H, W)".
Input input_array(const char* op, const char* argument, py::handle object, Order order,
                  int64_t ndim, const char* layout);
// None gives an Input with data == nullptr.
Input optional_array(const char* op, const char* argument, py::handle object, Order order);

// An int64 input, dense in the order asked for; TypeError for another dtype.
struct IntInput {
  py::array holder;
  const int64_t* data = nullptr;
  std::vector<int64_t> shape;

  int64_t ndim() const { return static_cast<int64_t>(shape.size()); }
};
IntInput int_array(const char* op, const char* argument, py::handle object, Order order);

// Tables that the bindings themselves read, always in the host's memory and in C order.
IntInput int_table(const char* op, const char* argument, py::handle object);
Input float_table(const char* op, const char* argument, py::handle object);

// A float32 input for ops that can walk any strides: copies only for alignment or byte order.
struct StridedInput {
  py::array holder;
  const float* data = nullptr;
  std::vector<int64_t> shape, strides;  // strides in elements
};
StridedInput strided_array(const char* op, const char* argument, py::handle object);

// A bias of n values, or None: an Input with data == nullptr.
Input bias_array(const char* op, py::handle bias, int64_t n);

// The order in which `object` already is dense (channels-last wins when both hold); C if it is
// dense in neither.
Order natural_order(py::handle object);

// The order in which elements are counted and summed whatever the strides of `object`, so that the
// same values give the same bits: channels-last for 4-D arrays, which is how activations lie in
// memory, and C for all others.
inline Order canonical_order(py::handle object) {
  const bool is_image =
      py::isinstance<py::array>(object) && py::reinterpret_borrow<py::array>(object).ndim() == 4;
  return is_image ? Order::kChannelsLast : Order::kC;
}

// A writable, dense (in `order`), aligned float32 array that the op changes in place: ValueError
// when it is read-only or not dense, TypeError when it is not a float32 array. Never a copy.
struct InOut {
  py::array holder;
  float* data = nullptr;
  std::vector<int64_t> shape;
  int64_t size = 0;
};
InOut inout_array(const char* op, const char* argument,
                  py::handle object);  // dense in any order of its axes

// New arrays; the contents are undefined. MemoryError names the bytes.
py::array new_floats(const std::vector<int64_t>& shape, Order order);
py::array new_array(const py::dtype& dtype, const std::vector<int64_t>& shape, Order order);
// An array with the elements of `source`, in native byte order.
py::array copied(const py::array& source, Order order);
inline float* floats(py::array& array) { return static_cast<float*>(array.mutable_data()); }

// So many floats, or None and null.
struct OptionalFloats {
  py::object array = py::none();
  float* data = nullptr;
};
inline OptionalFloats new_floats_if(bool wanted, int64_t size) {
  if (!wanted) return {};
  py::array array = new_floats({size}, Order::kC);
  return {array, floats(array)};
}

// Parameters. Booleans and floats are TypeErrors, numbers that do not fit 64 bits or break the rule
// ValueErrors.
int64_t int_parameter(const char* op, const char* name, py::handle value);
std::array<int64_t, 2> pair_parameter(const char* op, const char* name,
                                      py::handle value);  // int or pair of ints
bool bool_parameter(const char* op, const char* name,
                    py::handle value);  // True or False, NumPy's too
double float_parameter(const char* op, const char* name, py::handle value);
double finite_parameter(const char* op, const char* name, py::handle value);
// An axis in [-ndim, ndim), returned in [0, ndim).
int64_t axis_parameter(const char* op, const char* name, py::handle value, int64_t ndim);

}  // namespace neurona
