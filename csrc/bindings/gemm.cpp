// gemm and the three products of a linear layer.
#include "ops/linear.h"

#include "bindings/activation_name.h"
#include "bindings/array.h"
#include "bindings/packed_weight.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"
#include "ops/elementwise.h"

namespace neurona {
namespace {

constexpr const char* kMatrix = "(rows, columns)";

py::array gemm_binding(py::object a_object, py::object b_object, py::object trans_a_object,
                       py::object trans_b_object, py::object alpha_object, py::object beta_object,
                       py::object c_object, py::object bias_object, py::object activation) {
  const Input a = input_array("gemm", "a", a_object, Order::kC, 2, kMatrix);
  const Input b = input_array("gemm", "b", b_object, Order::kC, 2, kMatrix);
  const bool trans_a = bool_parameter("gemm", "trans_a", trans_a_object),
             trans_b = bool_parameter("gemm", "trans_b", trans_b_object);
  const GemmShape shape =
      gemm_shape("gemm", a.shape[0], a.shape[1], trans_a, b.shape[0], b.shape[1], trans_b);
  const Input bias = bias_array("gemm", bias_object, shape.n);
  const auto alpha = static_cast<float>(float_parameter("gemm", "alpha", alpha_object));
  const auto beta = static_cast<float>(float_parameter("gemm", "beta", beta_object));
  const Epilogue after = activation_parameter("gemm", activation);
  const bool accumulate = beta != 0;
  Input c;
  if (accumulate) {
    if (c_object.is_none())
      fail_value("gemm", "c must be given when beta is not 0, got beta=", beta);
    c = input_array("gemm", "c", c_object, Order::kC, 2, kMatrix);
    if (c.shape[0] != shape.m || c.shape[1] != shape.n)
      fail_value("gemm", "c must have shape (", shape.m, ", ", shape.n, "), got ",
                 shape_text(c.shape.data(), 2));
  }
  py::array result = new_floats({shape.m, shape.n}, Order::kC);
  float* y = floats(result);
  {
    py::gil_scoped_release release;
    if (accumulate) arithmetic_scalar(Arithmetic::kMul, c.data, beta, y, shape.m * shape.n);
    gemm(shape, {a.data, a.shape[1], trans_a}, {b.data, b.shape[1], trans_b}, y, shape.n,
         {alpha, accumulate, bias.data, in_tile(after)});
    finish_activation(after, y, shape.m * shape.n);
  }
  return result;
}

py::array linear_forward(py::object x_object, py::object weight_object, py::object bias_object,
                         py::object activation) {
  constexpr const char* kOp = "linear_forward";
  const Input x = input_array(kOp, "x", x_object, Order::kC, 2, "(N, in)");
  const Input weight = input_array(kOp, "weight", weight_object, Order::kC, 2, "(out, in)");
  if (x.shape[1] != weight.shape[1])
    fail_value(kOp, "x must have as many features as weight has columns, got x ",
               shape_text(x.shape.data(), 2), " and weight ", shape_text(weight.shape.data(), 2));
  const GemmShape shape{x.shape[0], weight.shape[0], x.shape[1]};
  const Input bias = bias_array(kOp, bias_object, shape.n);
  const Epilogue after = activation_parameter(kOp, activation);
  py::array result = new_floats({shape.m, shape.n}, Order::kC);
  float* y = floats(result);
  const float* packed = packed_columns(weight_object, shape);
  run_kernel([=, x = x.data, weight = weight.data, bias = bias.data] {
    gemm(shape, {x, shape.k, false}, {weight, shape.k, true}, y, shape.n,
         {1.0f, false, bias, in_tile(after)}, packed);
    finish_activation(after, y, shape.m * shape.n);
  });
  return result;
}

py::array linear_backward_data(py::object dy_object, py::object weight_object) {
  constexpr const char* kOp = "linear_backward_data";
  const Input dy = input_array(kOp, "dy", dy_object, Order::kC, 2, "(N, out)");
  const Input weight = input_array(kOp, "weight", weight_object, Order::kC, 2, "(out, in)");
  if (dy.shape[1] != weight.shape[0])
    fail_value(kOp, "dy must have as many columns as weight has rows, got dy ",
               shape_text(dy.shape.data(), 2), " and weight ", shape_text(weight.shape.data(), 2));
  const GemmShape shape{dy.shape[0], weight.shape[1], dy.shape[1]};
  py::array result = new_floats({shape.m, shape.n}, Order::kC);
  float* dx = floats(result);
  run_kernel([=, dy = dy.data, weight = weight.data] {
    gemm(shape, {dy, shape.k, false}, {weight, shape.n, false}, dx, shape.n, {});
  });
  return result;
}

py::tuple linear_backward_weight(py::object dy_object, py::object x_object,
                                 py::object with_bias_object) {
  constexpr const char* kOp = "linear_backward_weight";
  const Input dy = input_array(kOp, "dy", dy_object, Order::kC, 2, "(N, out)");
  const Input x = input_array(kOp, "x", x_object, Order::kC, 2, "(N, in)");
  const bool with_bias = bool_parameter(kOp, "with_bias", with_bias_object);
  if (dy.shape[0] != x.shape[0])
    fail_value(kOp, "dy and x must have the same batch size, got dy ",
               shape_text(dy.shape.data(), 2), " and x ", shape_text(x.shape.data(), 2));
  const LinearShape shape{dy.shape[0], x.shape[1], dy.shape[1]};
  py::array dw = new_floats({shape.out, shape.in}, Order::kC);
  const OptionalFloats db = new_floats_if(with_bias, shape.out);
  run_kernel([=, dy = dy.data, x = x.data, dw = floats(dw), db = db.data] {
    linear_backward(shape, dy, x, nullptr, false, {nullptr, dw, db});
  });
  return py::make_tuple(dw, db.array);
}

py::tuple linear_backward_binding(py::object dy_object, py::object x_object,
                                  py::object weight_object, py::object with_bias_object,
                                  py::object rectified_object) {
  constexpr const char* kOp = "linear_backward";
  const Input dy = input_array(kOp, "dy", dy_object, Order::kC, 2, "(N, out)");
  const Input x = input_array(kOp, "x", x_object, Order::kC, 2, "(N, in)");
  const Input weight = input_array(kOp, "weight", weight_object, Order::kC, 2, "(out, in)");
  const bool with_bias = bool_parameter(kOp, "with_bias", with_bias_object),
             rectified = bool_parameter(kOp, "rectified", rectified_object);
  const LinearShape shape{dy.shape[0], x.shape[1], dy.shape[1]};
  if (x.shape[0] != shape.n || weight.shape[0] != shape.out || weight.shape[1] != shape.in)
    fail_value(kOp, "dy (N, out), x (N, in) and weight (out, in) do not fit, got dy ",
               shape_text(dy.shape.data(), 2), ", x ", shape_text(x.shape.data(), 2),
               " and weight ", shape_text(weight.shape.data(), 2));
  py::array dx = new_floats({shape.n, shape.in}, Order::kC),
            dw = new_floats({shape.out, shape.in}, Order::kC);
  const OptionalFloats db = new_floats_if(with_bias, shape.out);
  run_kernel([=, dy = dy.data, x = x.data, weight = weight.data, dx = floats(dx), dw = floats(dw),
              db = db.data] { linear_backward(shape, dy, x, weight, rectified, {dx, dw, db}); });
  return py::make_tuple(dx, dw, db.array);
}

}  // namespace

void register_gemm(py::module_& m) {
  m.def("gemm", &gemm_binding, py::arg("a"), py::arg("b"), py::kw_only(),
        py::arg("trans_a") = false, py::arg("trans_b") = false, py::arg("alpha") = 1.0,
        py::arg("beta") = 0.0, py::arg("c") = py::none(), py::arg("bias") = py::none(),
        py::arg("activation") = py::none(),
        "act(alpha * op(a) @ op(b) + beta * c + bias) -> (M, N); with beta == 0, c is never read.");
  m.def("linear_forward", &linear_forward, py::arg("x"), py::arg("weight"),
        py::arg("bias") = py::none(), py::kw_only(), py::arg("activation") = py::none(),
        "act(x @ weight.T + bias): x (N, in), weight (out, in) -> y (N, out).");
  m.def("linear_backward_data", &linear_backward_data, py::arg("dy"), py::arg("weight"),
        "dy @ weight: dy (N, out), weight (out, in) -> dx (N, in).");
  m.def("linear_backward_weight", &linear_backward_weight, py::arg("dy"), py::arg("x"),
        py::kw_only(), py::arg("with_bias") = true,
        "(dy.T @ x, column sums of dy): dw (out, in), db (out,) or None.");
  m.def("linear_backward", &linear_backward_binding, py::arg("dy"), py::arg("x"), py::arg("weight"),
        py::kw_only(), py::arg("with_bias") = true, py::arg("rectified") = false,
        "What linear_backward_data and linear_backward_weight return: (dx, dw, db or None); with "
        "rectified dx is 0 where x, a ReLU's y, is not above 0.");
}

}  // namespace neurona
