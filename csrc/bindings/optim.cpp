// Optimizer steps over lists of arrays, in place. Steps that are noted share their options with
// those who change numbers in them: a learning rate, the count of steps.
#include "ops/optim.h"

#include <memory>

#include "bindings/array_lists.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

void sgd_step_binding(py::object params, py::object grads, py::object buffers, py::object lr,
                      py::object momentum, py::object dampening, py::object weight_decay,
                      py::object nesterov, py::object maximize, py::object first) {
  constexpr const char* kOp = "sgd_step";
  const auto options = std::make_shared<SgdOptions>(SgdOptions{
      float_parameter(kOp, "lr", lr), float_parameter(kOp, "momentum", momentum),
      float_parameter(kOp, "dampening", dampening),
      float_parameter(kOp, "weight_decay", weight_decay), bool_parameter(kOp, "nesterov", nesterov),
      bool_parameter(kOp, "maximize", maximize), bool_parameter(kOp, "first", first)});
  check_options(kOp, *options);
  const bool has_momentum = options->momentum != 0;
  if (has_momentum && buffers.is_none())
    fail_value(kOp, "buffers must be given when momentum != 0, got None");
  ArrayLists lists(kOp, params);
  const auto gradients = lists.read_list("grads", grads);
  const auto velocities =
      has_momentum ? lists.updated_list("buffers", buffers) : std::vector<float*>(lists.count());
  lists.check_overlaps();
  std::vector<SgdTensor> tensors(lists.count());
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i] = {lists.size(i), lists.param(i), gradients[i], velocities[i]};
  run_kernel([=] { sgd_step(options, tensors); },
             [options](const std::vector<double>& numbers) {
               SgdOptions changed = *options;
               changed.lr = numbers.at(0);
               changed.momentum = numbers.at(1);
               changed.dampening = numbers.at(2);
               changed.weight_decay = numbers.at(3);
               check_options(kOp, changed);
               *options = changed;
             });
  lists.write_back();
}

void adam_step_binding(py::object params, py::object grads, py::object exp_avgs,
                       py::object exp_avg_sqs, py::object step, py::object lr, py::object beta1,
                       py::object beta2, py::object eps, py::object weight_decay,
                       py::object decoupled, py::object maximize, py::object max_exp_avg_sqs) {
  constexpr const char* kOp = "adam_step";
  const auto options = std::make_shared<AdamOptions>(
      AdamOptions{float_parameter(kOp, "lr", lr), float_parameter(kOp, "beta1", beta1),
                  float_parameter(kOp, "beta2", beta2), float_parameter(kOp, "eps", eps),
                  float_parameter(kOp, "weight_decay", weight_decay),
                  bool_parameter(kOp, "decoupled", decoupled),
                  bool_parameter(kOp, "maximize", maximize), int_parameter(kOp, "step", step)});
  check_options(kOp, *options);
  ArrayLists lists(kOp, params);
  const auto gradients = lists.read_list("grads", grads);
  const auto means = lists.updated_list("exp_avgs", exp_avgs),
             squares = lists.updated_list("exp_avg_sqs", exp_avg_sqs);
  const auto largest = max_exp_avg_sqs.is_none()
                           ? std::vector<float*>(lists.count())
                           : lists.updated_list("max_exp_avg_sqs", max_exp_avg_sqs);
  lists.check_overlaps();
  std::vector<AdamTensor> tensors(lists.count());
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i] = {lists.size(i), lists.param(i), gradients[i], means[i], squares[i], largest[i]};
  run_kernel([=] { adam_step(options, tensors); },
             [options](const std::vector<double>& numbers) {
               AdamOptions changed = *options;
               changed.step = static_cast<int64_t>(numbers.at(0));
               changed.lr = numbers.at(1);
               changed.beta1 = numbers.at(2);
               changed.beta2 = numbers.at(3);
               changed.eps = numbers.at(4);
               changed.weight_decay = numbers.at(5);
               check_options(kOp, changed);
               *options = changed;
             });
  lists.write_back();
}

}  // namespace

void register_optim(py::module_& m) {
  m.def("sgd_step", &sgd_step_binding, py::arg("params"), py::arg("grads"), py::arg("buffers"),
        py::kw_only(), py::arg("lr"), py::arg("momentum") = 0.0, py::arg("dampening") = 0.0,
        py::arg("weight_decay") = 0.0, py::arg("nesterov") = false, py::arg("maximize") = false,
        py::arg("first") = false,
        "Updates params, and buffers when momentum != 0, in place; first=True sets the buffers to "
        "the gradient.");
  m.def("adam_step", &adam_step_binding, py::arg("params"), py::arg("grads"), py::arg("exp_avgs"),
        py::arg("exp_avg_sqs"), py::kw_only(), py::arg("step"), py::arg("lr"),
        py::arg("beta1") = 0.9, py::arg("beta2") = 0.999, py::arg("eps") = 1e-8,
        py::arg("weight_decay") = 0.0, py::arg("decoupled") = false, py::arg("maximize") = false,
        py::arg("max_exp_avg_sqs") = py::none(),
        "Updates params, exp_avgs, exp_avg_sqs and (amsgrad) max_exp_avg_sqs in place; "
        "decoupled=True is AdamW.");
}

}  // namespace neurona
