// Max and min pooling; averages are in avg_pool2d.cpp.
#include "ops/pool2d.h"

#include "bindings/array.h"
#include "bindings/memory.h"
#include "bindings/pool2d_parameters.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

// An array of offsets, dense in channels-last order.
struct Offsets {
  py::array holder;
  std::array<int64_t, 4> shape;
};

Offsets offsets_argument(const char* op, py::handle object, const Pool2dWindow& window) {
  if (!py::isinstance<py::array>(object))
    fail_type(op, "offsets must be a NumPy array, got ",
              std::string(py::str(py::type::handle_of(object).attr("__name__"))));
  const auto array = py::reinterpret_borrow<py::array>(object);
  const bool bytes = window.kernel[0] * window.kernel[1] <= 255;
  const auto dtype = array.dtype();
  if (dtype.kind() != (bytes ? 'u' : 'i') || dtype.itemsize() != (bytes ? 1 : 4))
    fail_type(op, "offsets must have dtype ", bytes ? "uint8" : "int32", " for kernel_size ",
              shape_text(window.kernel.data(), 2), ", got ", std::string(py::str(dtype)));
  if (array.ndim() != 4)
    fail_value(op, "offsets must have shape (N, C, P, Q), got ",
               shape_text(std::vector<int64_t>(array.shape(), array.shape() + array.ndim()).data(),
                          array.ndim()));
  Offsets offsets;
  offsets.shape = {array.shape(0), array.shape(1), array.shape(2), array.shape(3)};
  const py::dtype native = bytes ? py::dtype::of<uint8_t>() : py::dtype::of<int32_t>();
  const bool ready = natural_order(array) == Order::kChannelsLast && dtype.is(native) &&
                     reinterpret_cast<uintptr_t>(array.data()) % dtype.itemsize() == 0;
  check_home(op, "offsets", array);
  offsets.holder = ready ? array : copied(array, Order::kChannelsLast);
  return offsets;
}

py::tuple forward(const char* op, Extremum extremum, py::handle x_object, py::handle kernel_size,
                  py::handle stride, py::handle padding, py::handle dilation, py::handle ceil_mode,
                  py::handle with_offsets) {
  const Pool2dWindow window =
      window_parameters(op, kernel_size, stride, padding, dilation, ceil_mode);
  const bool wants_offsets = bool_parameter(op, "with_offsets", with_offsets);
  check_window(op, window);
  const Input x = input_array(op, "x", x_object, Order::kChannelsLast, 4, "(N, C, H, W)");
  const Pool2dShape shape = pool2d_shape(op, image_sizes(op, "x", x, "(N, C, H, W)"), window);
  const std::vector<int64_t> sizes{shape.n, shape.c, shape.p, shape.q};
  py::array y = new_floats(sizes, Order::kChannelsLast);
  py::object offsets = py::none();
  void* offsets_data = nullptr;
  if (wants_offsets) {
    py::array array =
        new_array(shape.byte_offsets() ? py::dtype::of<uint8_t>() : py::dtype::of<int32_t>(), sizes,
                  Order::kChannelsLast);
    offsets_data = array.mutable_data();
    offsets = array;
  }
  float* y_data = floats(y);
  run_kernel([=, x = x.data] { select_pool2d_forward(shape, extremum, x, y_data, offsets_data); });
  return py::make_tuple(y, offsets);
}

py::array backward(const char* op, py::handle dy_object, py::handle offsets_object,
                   py::handle input_size, py::handle kernel_size, py::handle stride,
                   py::handle padding, py::handle dilation, py::handle ceil_mode,
                   py::handle rectified_object) {
  const Pool2dWindow window =
      window_parameters(op, kernel_size, stride, padding, dilation, ceil_mode);
  check_window(op, window);
  const auto image = image_parameter(op, "input_size", input_size);
  const Input dy = input_array(op, "dy", dy_object, Order::kChannelsLast, 4, "(N, C, P, Q)");
  const Pool2dShape shape =
      pool2d_shape(op, {dy.shape[0], dy.shape[1], image[0], image[1]}, window);
  check_output_shape(op, "dy", dy.shape, shape);
  const Offsets offsets = offsets_argument(op, offsets_object, window);
  check_output_shape(op, "offsets", {offsets.shape.begin(), offsets.shape.end()}, shape);
  Input rectified;
  if (!rectified_object.is_none()) {
    rectified =
        input_array(op, "rectified", rectified_object, Order::kChannelsLast, 4, "(N, C, P, Q)");
    check_output_shape(op, "rectified", rectified.shape, shape);
  }
  py::array dx = new_floats({shape.n, shape.c, shape.h, shape.w}, Order::kChannelsLast);
  float* dx_data = floats(dx);
  const void* offsets_data = offsets.holder.data();
  run_kernel([=, dy = dy.data, rectified = rectified.data] {
    select_pool2d_backward(op, shape, dy, offsets_data, rectified, dx_data);
  });
  return dx;
}

py::array indices(py::object offsets_object, py::object input_size, py::object kernel_size,
                  py::object stride, py::object padding, py::object dilation) {
  constexpr const char* kOp = "pool2d_indices";
  const Pool2dWindow window =
      window_parameters(kOp, kernel_size, stride, padding, dilation, py::bool_(false));
  check_window(kOp, window);
  const auto image = image_parameter(kOp, "input_size", input_size);
  const Offsets offsets = offsets_argument(kOp, offsets_object, window);
  const auto& sizes = offsets.shape;
  check_not_empty(kOp, "offsets", sizes, "(N, C, P, Q)");
  check_range(kOp, "offsets' size", {sizes[2], sizes[3]}, 1);
  // Whether P and Q come from ceil_mode does not matter: every offset is checked to point into the
  // image.
  const Pool2dShape shape{sizes[0], sizes[1], image[0], image[1], sizes[2], sizes[3], window};
  py::array result = new_array(py::dtype::of<int64_t>(), {shape.n, shape.c, shape.p, shape.q},
                               Order::kChannelsLast);
  auto* data = static_cast<int64_t*>(result.mutable_data());
  const void* offsets_data = offsets.holder.data();
  {
    py::gil_scoped_release release;
    check_offsets(kOp, shape, offsets_data);
    pool2d_indices(shape, offsets_data, data);
  }
  return result;
}

template <Extremum kExtremum>
void register_extremum(py::module_& m, const char* forward_name, const char* backward_name,
                       const char* op, const char* forward_doc) {
  m.def(
      forward_name,
      [op](py::object x, py::object kernel_size, py::object stride, py::object padding,
           py::object dilation, py::object ceil_mode, py::object with_offsets) {
        return forward(op, kExtremum, x, kernel_size, stride, padding, dilation, ceil_mode,
                       with_offsets);
      },
      py::arg("x"), py::arg("kernel_size"), py::kw_only(), py::arg("stride") = py::none(),
      py::arg("padding") = 0, py::arg("dilation") = 1, py::arg("ceil_mode") = false,
      py::arg("with_offsets") = true, forward_doc);
  m.def(
      backward_name,
      [backward_name](py::object dy, py::object offsets, py::object input_size,
                      py::object kernel_size, py::object stride, py::object padding,
                      py::object dilation, py::object ceil_mode, py::object rectified) {
        return backward(backward_name, dy, offsets, input_size, kernel_size, stride, padding,
                        dilation, ceil_mode, rectified);
      },
      py::arg("dy"), py::arg("offsets"), py::arg("input_size"), py::arg("kernel_size"),
      py::kw_only(), py::arg("stride") = py::none(), py::arg("padding") = 0,
      py::arg("dilation") = 1, py::arg("ceil_mode") = false, py::arg("rectified") = py::none(),
      "dx (N, C, H, W): each dy (N, C, P, Q) added to the element that won its window, if "
      "rectified "
      "(N, C, P, Q) is None or above 0 there; input_size = (H, W).");
}

}  // namespace

void register_pool2d(py::module_& m) {
  register_extremum<Extremum::kMax>(
      m, "max_pool2d_forward", "max_pool2d_backward", "max_pool2d",
      "The largest element of each window, y (N, C, P, Q), and its offset r * S + s or None.");
  register_extremum<Extremum::kMin>(
      m, "min_pool2d_forward", "min_pool2d_backward", "min_pool2d",
      "The smallest element of each window, y (N, C, P, Q), and its offset r * S + s or None.");
  m.def("pool2d_indices", &indices, py::arg("offsets"), py::arg("input_size"),
        py::arg("kernel_size"), py::kw_only(), py::arg("stride") = py::none(),
        py::arg("padding") = 0, py::arg("dilation") = 1,
        "int64 indices h * W + w of the winners, flat in each plane, from offsets (N, C, P, Q).");
}

}  // namespace neurona
