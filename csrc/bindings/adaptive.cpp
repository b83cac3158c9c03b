// Steps of Adagrad, RMSprop, Adadelta, Adamax and NAdam over lists of arrays, in place.
#include "ops/adaptive.h"

#include <cmath>

#include "bindings/array_lists.h"
#include "bindings/register.h"
#include "ops/optim_rules.h"

namespace neurona {
namespace {

using Step = void (*)(const AdaptiveOptions&, const std::vector<AdaptiveTensor>&);

double not_negative(const char* op, const char* name, py::handle object) {
  const double value = float_parameter(op, name, object);
  check_not_negative(op, name, value);
  return value;
}

double beta(const char* op, const char* name, py::handle object) {
  const double value = float_parameter(op, name, object);
  check_beta(op, name, value);
  return value;
}

double share(const char* op, const char* name, py::handle object) {
  const double value = float_parameter(op, name, object);
  if (!(value >= 0 && value <= 1)) fail_value(op, name, " must be in [0, 1], got ", value);
  return value;
}

int64_t step_number(const char* op, py::handle object) {
  const int64_t value = int_parameter(op, "step", object);
  if (value < 1) fail_value(op, "step must be >= 1, got ", value);
  return value;
}

// The options that all five have.
AdaptiveOptions common_options(const char* op, py::handle lr, py::handle eps,
                               py::handle weight_decay, py::handle maximize) {
  AdaptiveOptions options;
  options.lr = not_negative(op, "lr", lr);
  options.eps = not_negative(op, "eps", eps);
  options.weight_decay = not_negative(op, "weight_decay", weight_decay);
  options.maximize = bool_parameter(op, "maximize", maximize);
  return options;
}

// Runs a step on the lists; `second` may be null for an optimizer with one list of state.
void run(const char* op, Step step, const AdaptiveOptions& options, py::handle params,
         py::handle grads, const char* first_name, py::handle first, const char* second_name,
         const py::object* second) {
  ArrayLists lists(op, params);
  const auto gradients = lists.read_list("grads", grads);
  const auto firsts = lists.updated_list(first_name, first);
  const auto seconds =
      second ? lists.updated_list(second_name, *second) : std::vector<float*>(lists.count());
  lists.check_overlaps();
  std::vector<AdaptiveTensor> tensors(lists.count());
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i] = {lists.size(i), lists.param(i), gradients[i], firsts[i], seconds[i]};
  {
    py::gil_scoped_release release;
    step(options, tensors);
  }
  lists.write_back();
}

void adagrad(py::object params, py::object grads, py::object sums, py::object step, py::object lr,
             py::object lr_decay, py::object eps, py::object weight_decay, py::object maximize,
             py::object eps_inside) {
  constexpr const char* kOp = "adagrad_step";
  AdaptiveOptions options = common_options(kOp, lr, eps, weight_decay, maximize);
  options.step = step_number(kOp, step);
  options.lr_decay = not_negative(kOp, "lr_decay", lr_decay);
  options.eps_inside = bool_parameter(kOp, "eps_inside", eps_inside);
  run(kOp, adagrad_step, options, params, grads, "sums", sums, nullptr, nullptr);
}

void rmsprop(py::object params, py::object grads, py::object square_avgs, py::object buffers,
             py::object lr, py::object alpha, py::object eps, py::object weight_decay,
             py::object momentum, py::object maximize, py::object eps_inside) {
  constexpr const char* kOp = "rmsprop_step";
  AdaptiveOptions options = common_options(kOp, lr, eps, weight_decay, maximize);
  options.decay = share(kOp, "alpha", alpha);
  options.momentum = not_negative(kOp, "momentum", momentum);
  options.eps_inside = bool_parameter(kOp, "eps_inside", eps_inside);
  const bool has_momentum = options.momentum != 0;
  if (has_momentum && buffers.is_none())
    fail_value(kOp, "buffers must be given when momentum != 0, got None");
  run(kOp, rmsprop_step, options, params, grads, "square_avgs", square_avgs, "buffers",
      has_momentum ? &buffers : nullptr);
}

void adadelta(py::object params, py::object grads, py::object square_avgs, py::object acc_deltas,
              py::object lr, py::object rho, py::object eps, py::object weight_decay,
              py::object maximize) {
  constexpr const char* kOp = "adadelta_step";
  AdaptiveOptions options = common_options(kOp, lr, eps, weight_decay, maximize);
  options.decay = share(kOp, "rho", rho);
  run(kOp, adadelta_step, options, params, grads, "square_avgs", square_avgs, "acc_deltas",
      &acc_deltas);
}

void adamax(py::object params, py::object grads, py::object exp_avgs, py::object exp_infs,
            py::object step, py::object lr, py::object beta1, py::object beta2, py::object eps,
            py::object weight_decay, py::object maximize) {
  constexpr const char* kOp = "adamax_step";
  AdaptiveOptions options = common_options(kOp, lr, eps, weight_decay, maximize);
  options.step = step_number(kOp, step);
  options.mean_decay = beta(kOp, "beta1", beta1);
  options.decay = beta(kOp, "beta2", beta2);
  run(kOp, adamax_step, options, params, grads, "exp_avgs", exp_avgs, "exp_infs", &exp_infs);
}

void nadam(py::object params, py::object grads, py::object exp_avgs, py::object exp_avg_sqs,
           py::object step, py::object lr, py::object gradient_rate, py::object mean_rate,
           py::object beta1, py::object beta2, py::object eps, py::object weight_decay,
           py::object decoupled, py::object maximize) {
  constexpr const char* kOp = "nadam_step";
  AdaptiveOptions options = common_options(kOp, lr, eps, weight_decay, maximize);
  options.step = step_number(kOp, step);
  options.gradient_rate = not_negative(kOp, "gradient_rate", gradient_rate);
  options.mean_rate = not_negative(kOp, "mean_rate", mean_rate);
  options.mean_decay = beta(kOp, "beta1", beta1);
  options.decay = beta(kOp, "beta2", beta2);
  options.decoupled = bool_parameter(kOp, "decoupled", decoupled);
  run(kOp, nadam_step, options, params, grads, "exp_avgs", exp_avgs, "exp_avg_sqs", &exp_avg_sqs);
}

}  // namespace

void register_adaptive(py::module_& m) {
  m.def("adagrad_step", &adagrad, py::arg("params"), py::arg("grads"), py::arg("sums"),
        py::kw_only(), py::arg("step"), py::arg("lr"), py::arg("lr_decay") = 0.0,
        py::arg("eps") = 1e-10, py::arg("weight_decay") = 0.0, py::arg("maximize") = false,
        py::arg("eps_inside") = false, "Updates params and sums in place; step counts from 1.");
  m.def("rmsprop_step", &rmsprop, py::arg("params"), py::arg("grads"), py::arg("square_avgs"),
        py::arg("buffers"), py::kw_only(), py::arg("lr"), py::arg("alpha") = 0.99,
        py::arg("eps") = 1e-8, py::arg("weight_decay") = 0.0, py::arg("momentum") = 0.0,
        py::arg("maximize") = false, py::arg("eps_inside") = false,
        "Updates params, square_avgs and, when momentum != 0, buffers in place.");
  m.def("adadelta_step", &adadelta, py::arg("params"), py::arg("grads"), py::arg("square_avgs"),
        py::arg("acc_deltas"), py::kw_only(), py::arg("lr"), py::arg("rho") = 0.9,
        py::arg("eps") = 1e-6, py::arg("weight_decay") = 0.0, py::arg("maximize") = false,
        "Updates params, square_avgs and acc_deltas in place.");
  m.def("adamax_step", &adamax, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"),
        py::arg("exp_infs"), py::kw_only(), py::arg("step"), py::arg("lr"), py::arg("beta1") = 0.9,
        py::arg("beta2") = 0.999, py::arg("eps") = 1e-8, py::arg("weight_decay") = 0.0,
        py::arg("maximize") = false,
        "Updates params, exp_avgs and exp_infs in place; step counts from 1.");
  m.def("nadam_step", &nadam, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"),
        py::arg("exp_avg_sqs"), py::kw_only(), py::arg("step"), py::arg("lr"),
        py::arg("gradient_rate"), py::arg("mean_rate"), py::arg("beta1") = 0.9,
        py::arg("beta2") = 0.999, py::arg("eps") = 1e-8, py::arg("weight_decay") = 0.0,
        py::arg("decoupled") = false, py::arg("maximize") = false,
        "Updates params, exp_avgs and exp_avg_sqs in place; step counts from 1, and the two rates "
        "hold lr.");
}

}  // namespace neurona
