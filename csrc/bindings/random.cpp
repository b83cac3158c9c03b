// Philox words, uniform and normal numbers, dropout.
#include "ops/random.h"

#include <memory>

#include "bindings/array.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

// An int in 0 .. 2^64 - 1.
uint64_t word_parameter(const char* op, const char* name, py::handle value) {
  if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr()))
    fail_type(op, name, " must be an int, got ", std::string(py::repr(value)));
  const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!number) {
    PyErr_Clear();
    fail_type(op, name, " must be an int, got ", std::string(py::repr(value)));
  }
  const unsigned long long word = PyLong_AsUnsignedLongLong(number.ptr());
  if (word == static_cast<unsigned long long>(-1) && PyErr_Occurred()) {
    PyErr_Clear();
    fail_value(op, name, " must be in 0..2**64-1, got ", std::string(py::str(number)));
  }
  return word;
}

RandomStream stream_parameters(const char* op, py::handle seed, py::handle offset) {
  return {word_parameter(op, "seed", seed), word_parameter(op, "offset", offset)};
}

// A word from its upper and lower 32 bits, which are exact as doubles.
uint64_t word_of(double upper, double lower) {
  return static_cast<uint64_t>(upper) << 32 | static_cast<uint64_t>(lower);
}

int64_t extent_parameter(const char* op, const char* name, py::handle value) {
  const int64_t extent = int_parameter(op, name, value);
  if (extent < 0) fail_value(op, name, " must be >= 0, got ", extent);
  return extent;
}

std::vector<int64_t> shape_parameter(const char* op, py::handle shape) {
  if (!PyTuple_Check(shape.ptr()) && !PyList_Check(shape.ptr()))
    return {extent_parameter(op, "shape", shape)};
  std::vector<int64_t> extents;
  for (const auto& item : py::reinterpret_borrow<py::sequence>(shape))
    extents.push_back(extent_parameter(op, "shape", item));
  // NumPy's own limit on the number of axes.
  if (extents.size() > 64) fail_value(op, "shape must have at most 64 axes, got ", extents.size());
  return extents;
}

py::array philox_words(py::object seed, py::object offset, py::object count_object) {
  const RandomStream stream = stream_parameters("philox", seed, offset);
  const int64_t count = extent_parameter("philox", "count", count_object);
  py::array result = new_array(py::dtype::of<uint32_t>(), {count}, Order::kC);
  auto* out = static_cast<uint32_t*>(result.mutable_data());
  py::gil_scoped_release release;
  philox(stream, count, out);
  return result;
}

py::array uniform(py::object shape, py::object seed, py::object offset, py::object low_object,
                  py::object high_object) {
  constexpr const char* kOp = "random_uniform";
  const RandomStream stream = stream_parameters(kOp, seed, offset);
  const double low = finite_parameter(kOp, "low", low_object),
               high = finite_parameter(kOp, "high", high_object);
  py::array result = new_floats(shape_parameter(kOp, shape), Order::kC);
  float* out = floats(result);
  const int64_t count = result.size();
  py::gil_scoped_release release;
  random_uniform(stream, count, low, high, out);
  return result;
}

py::array normal(py::object shape, py::object seed, py::object offset, py::object mean_object,
                 py::object std_object) {
  constexpr const char* kOp = "random_normal";
  const RandomStream stream = stream_parameters(kOp, seed, offset);
  const double mean = finite_parameter(kOp, "mean", mean_object),
               std = finite_parameter(kOp, "std", std_object);
  if (std < 0) fail_value(kOp, "std must be finite and >= 0, got ", std);
  py::array result = new_floats(shape_parameter(kOp, shape), Order::kC);
  float* out = floats(result);
  const int64_t count = result.size();
  py::gil_scoped_release release;
  random_normal(stream, count, static_cast<float>(mean), static_cast<float>(std), out);
  return result;
}

py::array dropout_binding(py::object x_object, py::object p_object, py::object seed,
                          py::object offset) {
  constexpr const char* kOp = "dropout";
  // The element numbers are those of channels-last memory for 4-D arrays, of C order otherwise.
  const Order order = canonical_order(x_object);
  const Input x = input_array(kOp, "x", x_object, order);
  const double p = float_parameter(kOp, "p", p_object);
  if (!(p >= 0 && p <= 1)) fail_value(kOp, "p must be between 0 and 1, got ", p);
  const auto stream = std::make_shared<RandomStream>(stream_parameters(kOp, seed, offset));
  py::array result = new_floats(x.shape, order);
  float* y = floats(result);
  const int64_t count = x.size();
  run_kernel([=, x = x.data] { dropout(stream, count, x, p, y); },
             [stream](const std::vector<double>& halves) {
               *stream = {word_of(halves.at(0), halves.at(1)), word_of(halves.at(2), halves.at(3))};
             });
  return result;
}

}  // namespace

void register_random(py::module_& m) {
  m.def("philox", &philox_words, py::arg("seed"), py::arg("offset"), py::arg("count"),
        "uint32 words (count,) of Philox4x32-10 (Salmon et al. 2011).");
  m.def("random_uniform", &uniform, py::arg("shape"), py::arg("seed"), py::arg("offset"),
        py::arg("low") = 0.0, py::arg("high") = 1.0,
        "Float32 numbers low + (high - low) (word >> 8) 2^-24.");
  m.def("random_normal", &normal, py::arg("shape"), py::arg("seed"), py::arg("offset"),
        py::arg("mean") = 0.0, py::arg("std") = 1.0,
        "Normal float32 numbers by Box and Muller's method (1958).");
  m.def("dropout", &dropout_binding, py::arg("x"), py::arg("p"), py::arg("seed"), py::arg("offset"),
        "x with each element zeroed with probability p, the others divided by 1 - p (Srivastava et "
        "al. 2014); its own backward.");
}

}  // namespace neurona
