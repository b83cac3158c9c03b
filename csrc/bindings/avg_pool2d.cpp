// Average and adaptive average pooling.
#include "ops/avg_pool2d.h"

#include "bindings/array.h"
#include "bindings/pool2d_parameters.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

AverageDivisor divisor_parameters(const char* op, py::handle count_include_pad,
                                  py::handle divisor_override) {
  AverageDivisor divisor;
  divisor.count_include_pad = bool_parameter(op, "count_include_pad", count_include_pad);
  if (!divisor_override.is_none()) {
    divisor.override = int_parameter(op, "divisor_override", divisor_override);
    if (divisor.override < 1)
      fail_value(op, "divisor_override must be >= 1, got ", divisor.override);
  }
  return divisor;
}

py::array avg_pool2d_forward_binding(py::object x_object, py::object kernel_size, py::object stride,
                                     py::object padding, py::object ceil_mode,
                                     py::object count_include_pad, py::object divisor_override) {
  constexpr const char* kOp = "avg_pool2d";
  const Pool2dWindow window = window_parameters(kOp, kernel_size, stride, padding, {}, ceil_mode);
  const AverageDivisor divisor = divisor_parameters(kOp, count_include_pad, divisor_override);
  check_window(kOp, window);
  const Input x = input_array(kOp, "x", x_object, Order::kChannelsLast, 4, "(N, C, H, W)");
  const Pool2dShape shape = pool2d_shape(kOp, image_sizes(kOp, "x", x, "(N, C, H, W)"), window);
  py::array y = new_floats({shape.n, shape.c, shape.p, shape.q}, Order::kChannelsLast);
  float* y_data = floats(y);
  run_kernel([=, x = x.data] { avg_pool2d_forward(shape, divisor, x, y_data); });
  return y;
}

py::array avg_pool2d_backward_binding(py::object dy_object, py::object input_size,
                                      py::object kernel_size, py::object stride, py::object padding,
                                      py::object ceil_mode, py::object count_include_pad,
                                      py::object divisor_override) {
  constexpr const char* kOp = "avg_pool2d_backward";
  const Pool2dWindow window = window_parameters(kOp, kernel_size, stride, padding, {}, ceil_mode);
  const AverageDivisor divisor = divisor_parameters(kOp, count_include_pad, divisor_override);
  check_window(kOp, window);
  const auto image = image_parameter(kOp, "input_size", input_size);
  const Input dy = input_array(kOp, "dy", dy_object, Order::kChannelsLast, 4, "(N, C, P, Q)");
  const Pool2dShape shape =
      pool2d_shape(kOp, {dy.shape[0], dy.shape[1], image[0], image[1]}, window);
  check_output_shape(kOp, "dy", dy.shape, shape);
  py::array dx = new_floats({shape.n, shape.c, shape.h, shape.w}, Order::kChannelsLast);
  float* dx_data = floats(dx);
  run_kernel([=, dy = dy.data] { avg_pool2d_backward(shape, divisor, dy, dx_data); });
  return dx;
}

py::array adaptive_forward(py::object x_object, py::object output_size) {
  constexpr const char* kOp = "adaptive_avg_pool2d";
  const auto size = image_parameter(kOp, "output_size", output_size);
  const Input x = input_array(kOp, "x", x_object, Order::kChannelsLast, 4, "(N, C, H, W)");
  const auto sizes = image_sizes(kOp, "x", x, "(N, C, H, W)");
  const Pool2dShape shape{sizes[0], sizes[1], sizes[2], sizes[3], size[0], size[1], {}};
  py::array y = new_floats({shape.n, shape.c, shape.p, shape.q}, Order::kChannelsLast);
  float* y_data = floats(y);
  run_kernel([=, x = x.data] { adaptive_avg_pool2d_forward(shape, x, y_data); });
  return y;
}

py::array adaptive_backward(py::object dy_object, py::object input_size) {
  constexpr const char* kOp = "adaptive_avg_pool2d_backward";
  const auto image = image_parameter(kOp, "input_size", input_size);
  const Input dy = input_array(kOp, "dy", dy_object, Order::kChannelsLast, 4, "(N, C, P, Q)");
  const auto sizes = image_sizes(kOp, "dy", dy, "(N, C, P, Q)");
  const Pool2dShape shape{sizes[0], sizes[1], image[0], image[1], sizes[2], sizes[3], {}};
  py::array dx = new_floats({shape.n, shape.c, shape.h, shape.w}, Order::kChannelsLast);
  float* dx_data = floats(dx);
  run_kernel([=, dy = dy.data] { adaptive_avg_pool2d_backward(shape, dy, dx_data); });
  return dx;
}

}  // namespace

void register_avg_pool2d(py::module_& m) {
  m.def("avg_pool2d_forward", &avg_pool2d_forward_binding, py::arg("x"), py::arg("kernel_size"),
        py::kw_only(), py::arg("stride") = py::none(), py::arg("padding") = 0,
        py::arg("ceil_mode") = false, py::arg("count_include_pad") = true,
        py::arg("divisor_override") = py::none(), "The average of each window, y (N, C, P, Q).");
  m.def("avg_pool2d_backward", &avg_pool2d_backward_binding, py::arg("dy"), py::arg("input_size"),
        py::arg("kernel_size"), py::kw_only(), py::arg("stride") = py::none(),
        py::arg("padding") = 0, py::arg("ceil_mode") = false, py::arg("count_include_pad") = true,
        py::arg("divisor_override") = py::none(),
        "dx (N, C, H, W): dy (N, C, P, Q) / divisor added to every pixel of its window; input_size "
        "= (H, W).");
  m.def("adaptive_avg_pool2d_forward", &adaptive_forward, py::arg("x"), py::arg("output_size"),
        "Averages over a grid of output_size = (P, Q) windows that cover x (N, C, H, W).");
  m.def("adaptive_avg_pool2d_backward", &adaptive_backward, py::arg("dy"), py::arg("input_size"),
        "dx (N, C, H, W): dy (N, C, P, Q) spread evenly over its window; input_size = (H, W).");
}

}  // namespace neurona
