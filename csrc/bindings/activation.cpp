// The activations: each works in the dense order that its input already has, and keeps it.
#include "ops/activation.h"

#include <cmath>

#include "bindings/array.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

py::array forward(const char* op, Activation activation, py::handle x_object,
                  float first = kDefaultSlope, float second = 0) {
  const Order order = natural_order(x_object);
  const Input x = input_array(op, "x", x_object, order);
  py::array result = new_floats(x.shape, order);
  float* y = floats(result);
  const int64_t count = x.size();
  run_kernel([=, x = x.data] { activation_forward(activation, x, y, count, first, second); });
  return result;
}

py::array backward(const char* op, Activation activation, py::handle dy_object,
                   const char* saved_name, py::handle saved_object, float first = kDefaultSlope,
                   float second = 0) {
  const Order order = natural_order(saved_object);
  const Input dy = input_array(op, "dy", dy_object, order),
              saved = input_array(op, saved_name, saved_object, order);
  if (dy.shape != saved.shape)
    fail_value(op, saved_name, " must have shape ", shape_text(dy.shape.data(), dy.ndim()),
               ", got shape ", shape_text(saved.shape.data(), saved.ndim()));
  py::array result = new_floats(saved.shape, order);
  float* dx = floats(result);
  const int64_t count = saved.size();
  run_kernel([=, dy = dy.data, saved = saved.data] {
    activation_backward(activation, dy, saved, dx, count, first, second);
  });
  return result;
}

float finite_float(const char* op, const char* name, py::handle value) {
  return static_cast<float>(finite_parameter(op, name, value));
}

float slope_parameter(const char* op, py::handle value) {
  return finite_float(op, "negative_slope", value);
}

float positive_parameter(const char* op, const char* name, py::handle value) {
  const double number = float_parameter(op, name, value);
  if (!(std::isfinite(number) && number > 0))
    fail_value(op, name, " must be finite and > 0, got ", number);
  return static_cast<float>(number);
}

Activation gelu_form(const char* op, py::handle approximate) {
  if (!PyUnicode_Check(approximate.ptr()))
    fail_type(op, "approximate must be 'none' or 'tanh', got ", std::string(py::repr(approximate)));
  if (PyUnicode_CompareWithASCIIString(approximate.ptr(), "none") == 0) return Activation::kGelu;
  if (PyUnicode_CompareWithASCIIString(approximate.ptr(), "tanh") == 0)
    return Activation::kGeluTanh;
  fail_value(op, "approximate must be 'none' or 'tanh', got ", std::string(py::repr(approximate)));
}

}  // namespace

void register_activation(py::module_& m) {
  m.def(
      "relu_forward", [](py::object x) { return forward("relu", Activation::kRelu, x); },
      py::arg("x"), "max(x, 0) -> y.");
  m.def(
      "relu_backward",
      [](py::object dy, py::object y) {
        return backward("relu_backward", Activation::kRelu, dy, "y", y);
      },
      py::arg("dy"), py::arg("y"), "dy where y > 0, else 0 -> dx.");
  m.def(
      "leaky_relu_forward",
      [](py::object x, py::object slope) {
        return forward("leaky_relu", Activation::kLeakyRelu, x,
                       slope_parameter("leaky_relu", slope));
      },
      py::arg("x"), py::arg("negative_slope") = 0.01, "x where x > 0, else negative_slope x -> y.");
  m.def(
      "leaky_relu_backward",
      [](py::object dy, py::object x, py::object slope) {
        return backward("leaky_relu_backward", Activation::kLeakyRelu, dy, "x", x,
                        slope_parameter("leaky_relu_backward", slope));
      },
      py::arg("dy"), py::arg("x"), py::arg("negative_slope") = 0.01,
      "dy where x > 0, else negative_slope dy -> dx.");
  m.def(
      "sigmoid_forward", [](py::object x) { return forward("sigmoid", Activation::kSigmoid, x); },
      py::arg("x"), "1 / (1 + exp(-x)) -> y.");
  m.def(
      "sigmoid_backward",
      [](py::object dy, py::object y) {
        return backward("sigmoid_backward", Activation::kSigmoid, dy, "y", y);
      },
      py::arg("dy"), py::arg("y"), "dy y (1 - y) -> dx.");
  m.def(
      "tanh_forward", [](py::object x) { return forward("tanh", Activation::kTanh, x); },
      py::arg("x"), "tanh(x) -> y.");
  m.def(
      "tanh_backward",
      [](py::object dy, py::object y) {
        return backward("tanh_backward", Activation::kTanh, dy, "y", y);
      },
      py::arg("dy"), py::arg("y"), "dy (1 - y^2) -> dx.");
  m.def(
      "gelu_forward",
      [](py::object x, py::object approximate) {
        return forward("gelu", gelu_form("gelu", approximate), x);
      },
      py::arg("x"), py::arg("approximate") = "none",
      "x P(standard normal <= x), or its \"tanh\" form (Hendrycks and Gimpel 2016) -> y.");
  m.def(
      "gelu_backward",
      [](py::object dy, py::object x, py::object approximate) {
        return backward("gelu_backward", gelu_form("gelu_backward", approximate), dy, "x", x);
      },
      py::arg("dy"), py::arg("x"), py::arg("approximate") = "none", "dy gelu'(x) -> dx.");
  m.def(
      "silu_forward", [](py::object x) { return forward("silu", Activation::kSilu, x); },
      py::arg("x"), "x sigmoid(x) -> y.");
  m.def(
      "silu_backward",
      [](py::object dy, py::object x) {
        return backward("silu_backward", Activation::kSilu, dy, "x", x);
      },
      py::arg("dy"), py::arg("x"), "dy s (1 + x (1 - s)) with s = sigmoid(x) -> dx.");
  m.def(
      "elu_forward",
      [](py::object x, py::object alpha) {
        return forward("elu", Activation::kElu, x, finite_float("elu", "alpha", alpha));
      },
      py::arg("x"), py::arg("alpha") = 1.0, "x where x > 0, else alpha (exp(x) - 1) -> y.");
  m.def(
      "elu_backward",
      [](py::object dy, py::object x, py::object alpha) {
        return backward("elu_backward", Activation::kElu, dy, "x", x,
                        finite_float("elu_backward", "alpha", alpha));
      },
      py::arg("dy"), py::arg("x"), py::arg("alpha") = 1.0,
      "dy where x > 0, else dy alpha exp(x) -> dx.");
  m.def(
      "hard_sigmoid_forward",
      [](py::object x, py::object slope, py::object shift) {
        constexpr const char* kOp = "hard_sigmoid";
        return forward(kOp, Activation::kHardSigmoid, x, positive_parameter(kOp, "slope", slope),
                       finite_float(kOp, "shift", shift));
      },
      py::arg("x"), py::arg("slope") = 0.5, py::arg("shift") = 0.5,
      "min(max(slope x + shift, 0), 1) -> y.");
  m.def(
      "hard_sigmoid_backward",
      [](py::object dy, py::object x, py::object slope, py::object shift) {
        constexpr const char* kOp = "hard_sigmoid_backward";
        return backward(kOp, Activation::kHardSigmoid, dy, "x", x,
                        positive_parameter(kOp, "slope", slope), finite_float(kOp, "shift", shift));
      },
      py::arg("dy"), py::arg("x"), py::arg("slope") = 0.5, py::arg("shift") = 0.5,
      "dy slope where 0 < slope x + shift < 1, else 0 -> dx.");
  m.def(
      "softplus_forward",
      [](py::object x, py::object beta, py::object threshold) {
        constexpr const char* kOp = "softplus";
        return forward(kOp, Activation::kSoftplus, x, positive_parameter(kOp, "beta", beta),
                       finite_float(kOp, "threshold", threshold));
      },
      py::arg("x"), py::arg("beta") = 1.0, py::arg("threshold") = 20.0,
      "ln(1 + exp(beta x)) / beta, and x where beta x > threshold -> y.");
  m.def(
      "softplus_backward",
      [](py::object dy, py::object x, py::object beta, py::object threshold) {
        constexpr const char* kOp = "softplus_backward";
        return backward(kOp, Activation::kSoftplus, dy, "x", x,
                        positive_parameter(kOp, "beta", beta),
                        finite_float(kOp, "threshold", threshold));
      },
      py::arg("dy"), py::arg("x"), py::arg("beta") = 1.0, py::arg("threshold") = 20.0,
      "dy sigmoid(beta x), and dy where beta x > threshold -> dx.");
}

}  // namespace neurona
