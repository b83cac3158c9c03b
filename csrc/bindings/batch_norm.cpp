// Batch normalisation of (N, C), (N, C, L) and (N, C, H, W).
#include "ops/batch_norm.h"

#include "bindings/array.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"
#include "core/batch_norm_rules.h"

namespace neurona {
namespace {

Input checked_input(const char* op, const char* name, py::handle object) {
  Input x = input_array(op, name, object, Order::kChannelsLast);
  if (x.ndim() < 2 || x.ndim() > 4)
    fail_value(op, name, " must have shape (N, C), (N, C, L) or (N, C, H, W), got shape ",
               shape_text(x.shape.data(), x.ndim()));
  constexpr const char* kAxes[] = {"NC", "NCL", "NCHW"};
  for (int64_t axis = 1; axis < x.ndim(); ++axis)
    if (x.shape[axis] == 0)
      fail_value(op, name, " must have ", kAxes[x.ndim() - 2][axis], " >= 1, got shape ",
                 shape_text(x.shape.data(), x.ndim()));
  return x;
}

BatchNormShape shape_of(const Input& x) { return {x.size() / x.shape[1], x.shape[1]}; }

void check_channels(const char* op, const char* name, const std::vector<int64_t>& shape,
                    int64_t channels) {
  if (shape.size() != 1 || shape[0] != channels)
    fail_value(op, name, " must have shape (", channels, ",), got shape ",
               shape_text(shape.data(), static_cast<int64_t>(shape.size())));
}

// One value per channel, or no data for None.
Input per_channel(const char* op, const char* name, py::handle object, int64_t channels) {
  Input input = optional_array(op, name, object, Order::kC);
  if (!object.is_none()) check_channels(op, name, input.shape, channels);
  return input;
}

py::tuple batch_norm_forward(py::object x_object, py::object weight_object, py::object bias_object,
                             py::object running_mean, py::object running_var,
                             py::object training_object, py::object momentum_object,
                             py::object eps_object, py::object relu_object) {
  constexpr const char* kOp = "batch_norm";
  const Input x = checked_input(kOp, "x", x_object);
  const BatchNormShape shape = shape_of(x);
  const int64_t channels = shape.channels;
  const Input weight = per_channel(kOp, "weight", weight_object, channels),
              bias = per_channel(kOp, "bias", bias_object, channels);
  const bool training = bool_parameter(kOp, "training", training_object),
             tracked = !running_mean.is_none();
  if (tracked == running_var.is_none())
    fail_value(kOp, "running_mean and running_var must both be given or both be None, got ",
               tracked ? "an array" : "None", " and ", tracked ? "None" : "an array");
  const double momentum = float_parameter(kOp, "momentum", momentum_object),
               eps = float_parameter(kOp, "eps", eps_object);
  const bool relu = bool_parameter(kOp, "relu", relu_object);
  check_batch_norm(kOp, momentum, eps);
  if (training && shape.rows == 1)
    fail_value(kOp, "x must have more than 1 value per channel in training, got shape ",
               shape_text(x.shape.data(), x.ndim()));
  if (!training && !tracked)
    fail_value(kOp, "running_mean and running_var must be given in evaluation, got None");
  const Input old_mean = per_channel(kOp, "running_mean", running_mean, channels);
  const Input old_var = per_channel(kOp, "running_var", running_var, channels);
  if (tracked) check_running_var(kOp, old_var.data, channels);
  InOut new_mean, new_var;
  if (training && tracked) {
    new_mean = inout_array(kOp, "running_mean", running_mean);
    new_var = inout_array(kOp, "running_var", running_var);
  }
  py::array y = new_floats(x.shape, Order::kChannelsLast), mean = new_floats({channels}, Order::kC),
            invstd = new_floats({channels}, Order::kC);
  float *y_data = floats(y), *mean_data = floats(mean), *invstd_data = floats(invstd);
  if (training) {
    run_kernel([=, x = x.data, weight = weight.data, bias = bias.data, running_mean = new_mean.data,
                running_var = new_var.data] {
      batch_norm_training(shape, {weight, bias, running_mean, running_var, momentum, eps, relu}, x,
                          y_data, mean_data, invstd_data);
    });
  } else {
    run_kernel([=, x = x.data, weight = weight.data, bias = bias.data, running_mean = old_mean.data,
                running_var = old_var.data] {
      batch_norm_evaluation(shape, weight, bias, running_mean, running_var, eps, relu, x, y_data,
                            mean_data, invstd_data);
    });
  }
  return py::make_tuple(y, mean, invstd);
}

py::tuple batch_norm_backward_binding(py::object dy_object, py::object x_object,
                                      py::object weight_object, py::object mean_object,
                                      py::object invstd_object, py::object training_object,
                                      py::object y_object) {
  constexpr const char* kOp = "batch_norm_backward";
  const Input x = checked_input(kOp, "x", x_object);
  const Input dy = input_array(kOp, "dy", dy_object, Order::kChannelsLast);
  if (dy.shape != x.shape)
    fail_value(kOp, "dy must have shape ", shape_text(x.shape.data(), x.ndim()), ", got shape ",
               shape_text(dy.shape.data(), dy.ndim()));
  const Input y = optional_array(kOp, "y", y_object, Order::kChannelsLast);
  if (!y_object.is_none() && y.shape != x.shape)
    fail_value(kOp, "y must have shape ", shape_text(x.shape.data(), x.ndim()), ", got shape ",
               shape_text(y.shape.data(), y.ndim()));
  const BatchNormShape shape = shape_of(x);
  const Input weight = per_channel(kOp, "weight", weight_object, shape.channels);
  const Input mean = input_array(kOp, "mean", mean_object, Order::kC);
  const Input invstd = input_array(kOp, "invstd", invstd_object, Order::kC);
  check_channels(kOp, "mean", mean.shape, shape.channels);
  check_channels(kOp, "invstd", invstd.shape, shape.channels);
  const bool training = bool_parameter(kOp, "training", training_object);
  py::array dx = new_floats(x.shape, Order::kChannelsLast),
            dweight = new_floats({shape.channels}, Order::kC),
            dbias = new_floats({shape.channels}, Order::kC);
  const BatchNormGradients gradients{floats(dx), floats(dweight), floats(dbias)};
  run_kernel([=, dy = dy.data, gate = y.data, x = x.data, weight = weight.data, mean = mean.data,
              invstd = invstd.data] {
    batch_norm_backward(shape, training, dy, gate, x, weight, mean, invstd, gradients);
  });
  return py::make_tuple(dx, dweight, dbias);
}

}  // namespace

void register_batch_norm(py::module_& m) {
  m.def("batch_norm_forward", &batch_norm_forward, py::arg("x"), py::arg("weight"), py::arg("bias"),
        py::arg("running_mean"), py::arg("running_var"), py::kw_only(), py::arg("training"),
        py::arg("momentum") = 0.1, py::arg("eps") = 1e-5, py::arg("relu") = false,
        "(y, mean (C,), invstd (C,)) of x (N, C), (N, C, L) or (N, C, H, W); updates running_* in "
        "place when training. relu: y is max(0, ..).");
  m.def("batch_norm_backward", &batch_norm_backward_binding, py::arg("dy"), py::arg("x"),
        py::arg("weight"), py::arg("mean"), py::arg("invstd"), py::kw_only(), py::arg("training"),
        py::arg("y") = py::none(),
        "(dx, dweight (C,), dbias (C,)). y: the output, if that is of relu=True.");
}

}  // namespace neurona
