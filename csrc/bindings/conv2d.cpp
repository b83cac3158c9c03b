// conv2d and its gradients, conv_transpose2d and its gradients: the same passes with the roles of x
// and y exchanged.
#include "ops/conv2d.h"

#include "bindings/activation_name.h"
#include "bindings/array.h"
#include "bindings/packed_weight.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"
#include "ops/gemm.h"

namespace neurona {
namespace {

constexpr const char* kImages = "(N, C, H, W)";

Conv2dOptions options_of(const char* op, py::handle stride, py::handle padding, py::handle dilation,
                         py::handle groups) {
  return {pair_parameter(op, "stride", stride), pair_parameter(op, "padding", padding),
          pair_parameter(op, "dilation", dilation), int_parameter(op, "groups", groups)};
}

const char* variant_text(const char* op, py::handle variant) {
  if (variant.is_none()) return nullptr;
  if (!PyUnicode_Check(variant.ptr()))
    fail_type(op, "variant must be a string or None, got ", std::string(py::repr(variant)));
  const char* text = PyUnicode_AsUTF8(variant.ptr());
  if (!text) throw py::error_already_set();
  return text;
}

Pair size_parameter(const char* op, const char* name, py::handle value) {
  const Pair size = pair_parameter(op, name, value);
  if (size[0] < 1 || size[1] < 1)
    fail_value(op, name, " must be >= 1 in both axes, got ", shape_text(size.data(), 2));
  return size;
}

Input images(const char* op, const char* argument, py::handle object) {
  return input_array(op, argument, object, Order::kChannelsLast, 4, kImages);
}

Input weights(const char* op, py::handle object, const char* layout) {
  return input_array(op, "weight", object, Order::kC, 4, layout);
}

// Output pixels per image times channels may exceed memory: refuse before 64-bit products overflow.
py::array new_images(int64_t n, int64_t c, int64_t h, int64_t w) {
  return new_floats({n, c, h, w}, Order::kChannelsLast);
}

py::array conv2d_forward_binding(py::object x_object, py::object weight_object,
                                 py::object bias_object, py::object stride, py::object padding,
                                 py::object dilation, py::object groups, py::object activation,
                                 py::object variant) {
  constexpr const char* kOp = "conv2d_forward";
  const Input x = images(kOp, "x", x_object),
              weight = weights(kOp, weight_object, "(K, C/groups, R, S)");
  const Conv2dShape shape = conv2d_shape(kOp, x.shape.data(), weight.shape.data(),
                                         options_of(kOp, stride, padding, dilation, groups));
  const Input bias = bias_array(kOp, bias_object, shape.k);
  const Epilogue after = activation_parameter(kOp, activation);
  const Conv2dPlan plan =
      plan_conv2d(kOp, shape, Conv2dDirection::kForward, variant_text(kOp, variant));
  py::array result = new_images(shape.n, shape.k, shape.p, shape.q);
  float* y = floats(result);
  if (variant.is_none() && run_packed(weight_object, shape, x.data, bias.data, after, y))
    return result;
  run_kernel([=, variant = plan.variant, x = x.data, weight = weight.data, bias = bias.data] {
    conv2d_forward(shape, variant, x, weight, bias, in_tile(after), y);
    finish_activation(after, y, shape.n * shape.k * shape.p * shape.q);
  });
  return result;
}

py::array conv2d_backward_data_binding(py::object dy_object, py::object weight_object,
                                       py::object input_size, py::object stride, py::object padding,
                                       py::object dilation, py::object groups, py::object variant) {
  constexpr const char* kOp = "conv2d_backward_data";
  const Input dy = images(kOp, "dy", dy_object),
              weight = weights(kOp, weight_object, "(K, C/groups, R, S)");
  const Conv2dOptions options = options_of(kOp, stride, padding, dilation, groups);
  const Pair size = size_parameter(kOp, "input_size", input_size);
  const int64_t channels = options.groups > 0 && options.groups < (int64_t{1} << 31)
                               ? weight.shape[1] * options.groups
                               : weight.shape[1];
  const int64_t x_shape[4] = {dy.shape[0], channels, size[0], size[1]};
  const Conv2dShape shape = conv2d_shape(kOp, x_shape, weight.shape.data(), options);
  check_conv2d_gradient(kOp, shape, dy.shape.data());
  const Conv2dPlan plan =
      plan_conv2d(kOp, shape, Conv2dDirection::kBackwardData, variant_text(kOp, variant));
  py::array result = new_images(shape.n, shape.c, shape.h, shape.w);
  float* dx = floats(result);
  run_kernel([=, variant = plan.variant, dy = dy.data, weight = weight.data] {
    conv2d_backward_data(shape, variant, dy, weight, nullptr, dx);
  });
  return result;
}

py::array bias_gradient(const float* dy, int64_t pixels, int64_t channels) {
  py::array db = new_floats({channels}, Order::kC);
  float* sums = floats(db);
  run_kernel([=] { column_sums(dy, pixels, channels, channels, sums); });
  return db;
}

py::tuple conv2d_backward_weight_binding(py::object dy_object, py::object x_object,
                                         py::object kernel_size, py::object stride,
                                         py::object padding, py::object dilation, py::object groups,
                                         bool with_bias, py::object variant) {
  constexpr const char* kOp = "conv2d_backward_weight";
  const Input dy = images(kOp, "dy", dy_object), x = images(kOp, "x", x_object);
  const Conv2dOptions options = options_of(kOp, stride, padding, dilation, groups);
  const Pair kernel = size_parameter(kOp, "kernel_size", kernel_size);
  if (options.groups < 1) fail_value(kOp, "groups must be >= 1, got ", options.groups);
  if (x.shape[1] % options.groups != 0)
    fail_value(kOp, "groups must divide the input channels, got groups ", options.groups, " and ",
               x.shape[1], " channels");
  const int64_t weight_shape[4] = {dy.shape[1], x.shape[1] / options.groups, kernel[0], kernel[1]};
  const Conv2dShape shape = conv2d_shape(kOp, x.shape.data(), weight_shape, options);
  check_conv2d_gradient(kOp, shape, dy.shape.data());
  const Conv2dPlan plan =
      plan_conv2d(kOp, shape, Conv2dDirection::kBackwardWeight, variant_text(kOp, variant));
  py::array dw = new_floats({shape.k, shape.group_c(), shape.r, shape.s}, Order::kC);
  const OptionalFloats db = new_floats_if(with_bias, shape.k);
  run_kernel([=, variant = plan.variant, dy = dy.data, x = x.data, dw = floats(dw), db = db.data] {
    conv2d_backward_weight(shape, variant, dy, x, dw, db);
  });
  return py::make_tuple(dw, db.array);
}

py::tuple conv2d_backward_binding(py::object dy_object, py::object x_object,
                                  py::object weight_object, py::object stride, py::object padding,
                                  py::object dilation, py::object groups, bool with_bias,
                                  py::object variant) {
  constexpr const char* kOp = "conv2d_backward";
  const Input dy = images(kOp, "dy", dy_object), x = images(kOp, "x", x_object),
              weight = weights(kOp, weight_object, "(K, C/groups, R, S)");
  const Conv2dShape shape = conv2d_shape(kOp, x.shape.data(), weight.shape.data(),
                                         options_of(kOp, stride, padding, dilation, groups));
  check_conv2d_gradient(kOp, shape, dy.shape.data());
  const char* wanted = variant_text(kOp, variant);
  const Conv2dVariants variants{
      plan_conv2d(kOp, shape, Conv2dDirection::kBackwardData, wanted).variant,
      plan_conv2d(kOp, shape, Conv2dDirection::kBackwardWeight, wanted).variant};
  py::array dx = new_images(shape.n, shape.c, shape.h, shape.w);
  py::array dw = new_floats({shape.k, shape.group_c(), shape.r, shape.s}, Order::kC);
  const OptionalFloats db = new_floats_if(with_bias, shape.k);
  const Conv2dGradients gradients{floats(dx), floats(dw), db.data};
  run_kernel([=, dy = dy.data, x = x.data, weight = weight.data] {
    conv2d_backward(shape, variants, dy, x, weight, gradients);
  });
  return py::make_tuple(dx, dw, db.array);
}

py::array conv2d_backward_bias(py::object dy_object) {
  const Input dy = images("conv2d_backward_bias", "dy", dy_object);
  return bias_gradient(dy.data, dy.shape[0] * dy.shape[2] * dy.shape[3], dy.shape[1]);
}

std::string conv2d_plan(py::object x_shape, py::object weight_shape, py::object stride,
                        py::object padding, py::object dilation, py::object groups,
                        py::object direction, py::object variant) {
  constexpr const char* kOp = "conv2d_plan";
  std::vector<int64_t> sizes[2];
  const py::object arguments[2] = {x_shape, weight_shape};
  for (int i = 0; i < 2; ++i) {
    const char* name = i == 0 ? "x_shape" : "weight_shape";
    if (!py::isinstance<py::sequence>(arguments[i]))
      fail_type(kOp, name, " must be a sequence of 4 ints, got ",
                std::string(py::repr(arguments[i])));
    for (py::handle extent : arguments[i]) sizes[i].push_back(int_parameter(kOp, name, extent));
    if (sizes[i].size() != 4) fail_value(kOp, name, " must have 4 entries, got ", sizes[i].size());
  }
  const Conv2dShape shape = conv2d_shape(kOp, sizes[0].data(), sizes[1].data(),
                                         options_of(kOp, stride, padding, dilation, groups));
  const std::string name = PyUnicode_Check(direction.ptr()) ? py::cast<std::string>(direction)
                                                            : std::string(py::repr(direction));
  Conv2dDirection pass{};
  if (name == "forward") {
    pass = Conv2dDirection::kForward;
  } else if (name == "backward_data") {
    pass = Conv2dDirection::kBackwardData;
  } else if (name == "backward_weight") {
    pass = Conv2dDirection::kBackwardWeight;
  } else {
    fail_value(kOp, "direction must be 'forward', 'backward_data' or 'backward_weight', got ",
               name);
  }
  return plan_text(shape, pass, plan_conv2d(kOp, shape, pass, variant_text(kOp, variant)));
}

// Transposed: x is the convolution's dy, y its dx.

constexpr const char* kTransposedWeight = "(C, K/groups, R, S)";

py::array conv_transpose2d_forward(py::object x_object, py::object weight_object,
                                   py::object bias_object, py::object stride, py::object padding,
                                   py::object output_padding, py::object groups,
                                   py::object dilation) {
  constexpr const char* kOp = "conv_transpose2d_forward";
  const Input x = images(kOp, "x", x_object),
              weight = weights(kOp, weight_object, kTransposedWeight);
  const Conv2dShape shape = conv_transpose2d_shape(
      kOp, x.shape.data(), weight.shape.data(), options_of(kOp, stride, padding, dilation, groups),
      pair_parameter(kOp, "output_padding", output_padding));
  const Input bias = bias_array(kOp, bias_object, shape.c);
  const Conv2dPlan plan = plan_conv2d(kOp, shape, Conv2dDirection::kBackwardData, nullptr);
  py::array result = new_images(shape.n, shape.c, shape.h, shape.w);
  float* y = floats(result);
  run_kernel([=, variant = plan.variant, x = x.data, weight = weight.data, bias = bias.data] {
    conv2d_backward_data(shape, variant, x, weight, bias, y);
  });
  return result;
}

// dy must be what a transposed convolution of an input of `shape` returns.
void check_transposed_gradient(const char* op, const Conv2dShape& shape, const Input& dy) {
  const std::vector<int64_t> expected{shape.n, shape.c, shape.h, shape.w};
  if (dy.shape != expected)
    fail_value(op, "dy must have the output's shape ", shape_text(expected.data(), 4), ", got ",
               shape_text(dy.shape.data(), 4));
}

py::array conv_transpose2d_backward_data(py::object dy_object, py::object weight_object,
                                         py::object stride, py::object padding,
                                         py::object output_padding, py::object groups,
                                         py::object dilation) {
  constexpr const char* kOp = "conv_transpose2d_backward_data";
  const Input dy = images(kOp, "dy", dy_object),
              weight = weights(kOp, weight_object, kTransposedWeight);
  const Conv2dOptions options = options_of(kOp, stride, padding, dilation, groups);
  const Pair extra = pair_parameter(kOp, "output_padding", output_padding);
  const auto input =
      conv_transpose2d_input(kOp, dy.shape.data(), weight.shape.data(), options, extra);
  const Conv2dShape shape =
      conv_transpose2d_shape(kOp, input.data(), weight.shape.data(), options, extra);
  check_transposed_gradient(kOp, shape, dy);
  const Conv2dPlan plan = plan_conv2d(kOp, shape, Conv2dDirection::kForward, nullptr);
  py::array result = new_images(shape.n, shape.k, shape.p, shape.q);
  float* dx = floats(result);
  run_kernel([=, variant = plan.variant, dy = dy.data, weight = weight.data] {
    conv2d_forward(shape, variant, dy, weight, nullptr, TileActivation::kNone, dx);
  });
  return result;
}

py::tuple conv_transpose2d_backward_weight(py::object dy_object, py::object x_object,
                                           py::object kernel_size, py::object stride,
                                           py::object padding, py::object output_padding,
                                           py::object groups, py::object dilation, bool with_bias) {
  constexpr const char* kOp = "conv_transpose2d_backward_weight";
  const Input dy = images(kOp, "dy", dy_object), x = images(kOp, "x", x_object);
  const Conv2dOptions options = options_of(kOp, stride, padding, dilation, groups);
  const Pair kernel = size_parameter(kOp, "kernel_size", kernel_size);
  if (options.groups < 1 || dy.shape[1] % options.groups != 0)
    fail_value(kOp, "groups must be >= 1 and divide the output channels, got groups ",
               options.groups, " and ", dy.shape[1], " channels");
  const int64_t weight_shape[4] = {x.shape[1], dy.shape[1] / options.groups, kernel[0], kernel[1]};
  const Conv2dShape shape =
      conv_transpose2d_shape(kOp, x.shape.data(), weight_shape, options,
                             pair_parameter(kOp, "output_padding", output_padding));
  check_transposed_gradient(kOp, shape, dy);
  const Conv2dPlan plan = plan_conv2d(kOp, shape, Conv2dDirection::kBackwardWeight, nullptr);
  py::array dw = new_floats({shape.k, shape.group_c(), shape.r, shape.s}, Order::kC);
  float* target = floats(dw);
  run_kernel([=, variant = plan.variant, dy = dy.data, x = x.data] {
    conv2d_backward_weight(shape, variant, x, dy, target, nullptr);
  });
  if (!with_bias) return py::make_tuple(dw, py::none());
  return py::make_tuple(dw, bias_gradient(dy.data, shape.n * shape.h * shape.w, shape.c));
}

}  // namespace

void register_conv2d(py::module_& m) {
  const auto one = py::arg("stride") = 1;
  m.def("conv2d_forward", &conv2d_forward_binding, py::arg("x"), py::arg("weight"),
        py::arg("bias") = py::none(), py::kw_only(), one, py::arg("padding") = 0,
        py::arg("dilation") = 1, py::arg("groups") = 1, py::arg("activation") = py::none(),
        py::arg("variant") = py::none(),
        "x (N, C, H, W), weight (K, C/groups, R, S), bias (K,) or None -> y (N, K, P, Q), "
        "P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1.");
  m.def("conv2d_backward_data", &conv2d_backward_data_binding, py::arg("dy"), py::arg("weight"),
        py::arg("input_size"), py::kw_only(), one, py::arg("padding") = 0, py::arg("dilation") = 1,
        py::arg("groups") = 1, py::arg("variant") = py::none(),
        "dy (N, K, P, Q), weight (K, C/groups, R, S), input_size (H, W) -> dx (N, C, H, W).");
  m.def("conv2d_backward_weight", &conv2d_backward_weight_binding, py::arg("dy"), py::arg("x"),
        py::arg("kernel_size"), py::kw_only(), one, py::arg("padding") = 0, py::arg("dilation") = 1,
        py::arg("groups") = 1, py::arg("with_bias") = true, py::arg("variant") = py::none(),
        "dy (N, K, P, Q), x (N, C, H, W), kernel_size (R, S) -> (dw (K, C/groups, R, S), db (K,) "
        "or None).");
  m.def("conv2d_backward", &conv2d_backward_binding, py::arg("dy"), py::arg("x"), py::arg("weight"),
        py::kw_only(), one, py::arg("padding") = 0, py::arg("dilation") = 1, py::arg("groups") = 1,
        py::arg("with_bias") = true, py::arg("variant") = py::none(),
        "dy (N, K, P, Q), x (N, C, H, W), weight (K, C/groups, R, S) -> (dx (N, C, H, W), "
        "dw (K, C/groups, R, S), db (K,) or None): both at once.");
  m.def("conv2d_backward_bias", &conv2d_backward_bias, py::arg("dy"),
        "dy (N, K, P, Q) -> db (K,), its sum over N, P and Q.");
  m.def("conv2d_plan", &conv2d_plan, py::arg("x_shape"), py::arg("weight_shape"), py::kw_only(),
        one, py::arg("padding") = 0, py::arg("dilation") = 1, py::arg("groups") = 1,
        py::arg("direction") = "forward", py::arg("variant") = py::none(),
        "Which algorithm runs this shape, and why; no kernel runs.");
  m.def(
      "set_fast_convolutions",
      [](py::object fast) {
        set_fast_convolutions(bool_parameter("set_fast_convolutions", "fast", fast));
      },
      py::arg("fast"), "Lets the plan choose algorithms that round more than a plain sum.");
  m.def("fast_convolutions", &fast_convolutions,
        "Whether the plan may choose algorithms that round more than a plain sum.");
  m.def("conv_transpose2d_forward", &conv_transpose2d_forward, py::arg("x"), py::arg("weight"),
        py::arg("bias") = py::none(), py::kw_only(), one, py::arg("padding") = 0,
        py::arg("output_padding") = 0, py::arg("groups") = 1, py::arg("dilation") = 1,
        "x (N, C, H, W), weight (C, K/groups, R, S) -> y (N, K, P, Q), "
        "P = (H - 1) stride - 2 padding + dilation (R - 1) + output_padding + 1.");
  m.def("conv_transpose2d_backward_data", &conv_transpose2d_backward_data, py::arg("dy"),
        py::arg("weight"), py::kw_only(), one, py::arg("padding") = 0,
        py::arg("output_padding") = 0, py::arg("groups") = 1, py::arg("dilation") = 1,
        "dy (N, K, P, Q), weight (C, K/groups, R, S) -> dx (N, C, H, W).");
  m.def("conv_transpose2d_backward_weight", &conv_transpose2d_backward_weight, py::arg("dy"),
        py::arg("x"), py::arg("kernel_size"), py::kw_only(), one, py::arg("padding") = 0,
        py::arg("output_padding") = 0, py::arg("groups") = 1, py::arg("dilation") = 1,
        py::arg("with_bias") = true,
        "dy (N, K, P, Q), x (N, C, H, W) -> (dw (C, K/groups, R, S), db (K,) or None).");
}

}  // namespace neurona
