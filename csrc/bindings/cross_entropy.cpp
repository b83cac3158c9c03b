// Cross-entropy: labels of any integer type, or probabilities.
#include "ops/cross_entropy.h"

#include "bindings/array.h"
#include "bindings/labels.h"
#include "bindings/reduction_name.h"
#include "bindings/register.h"
#include "bindings/run_kernel.h"

namespace neurona {
namespace {

constexpr const char* kCrossEntropy = "cross_entropy";

Input probability_array(py::handle target, const Input& x, int64_t ignore_index) {
  const Input probabilities = input_array(kCrossEntropy, "target", target, Order::kC);
  if (probabilities.ndim() == 1)
    fail_type(
        kCrossEntropy,
        "target of shape (N,) must have an integer dtype, got float32; use .astype(np.int64)");
  if (probabilities.shape != x.shape)
    fail_value(kCrossEntropy, "target must have shape ", shape_text(x.shape.data(), 2),
               ", got shape ", shape_text(probabilities.shape.data(), probabilities.ndim()));
  if (ignore_index >= 0)
    fail_value(kCrossEntropy, "ignore_index must be negative when target holds probabilities, got ",
               ignore_index);
  return probabilities;
}

py::tuple cross_entropy_forward(py::object x_object, py::object target_object,
                                py::object weight_object, py::object ignore_index,
                                py::object reduction, py::object label_smoothing,
                                py::object with_grad) {
  const Input x = input_array(kCrossEntropy, "x", x_object, Order::kC, 2, "(N, C)");
  const int64_t n = x.shape[0], c = x.shape[1];
  if (c == 0)
    fail_value(kCrossEntropy, "x must have C >= 1, got shape ", shape_text(x.shape.data(), 2));
  CrossEntropyOptions options{};
  options.ignore_index = int_parameter(kCrossEntropy, "ignore_index", ignore_index);
  options.reduction = reduction_parameter(kCrossEntropy, reduction);
  options.label_smoothing = float_parameter(kCrossEntropy, "label_smoothing", label_smoothing);
  if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
    fail_value(kCrossEntropy, "label_smoothing must be between 0 and 1, got ",
               options.label_smoothing);
  const Input weight = optional_array(kCrossEntropy, "weight", weight_object, Order::kC);
  if (weight.data && (weight.ndim() != 1 || weight.shape[0] != c))
    fail_value(kCrossEntropy, "weight must have shape (", c, ",), got shape ",
               shape_text(weight.shape.data(), weight.ndim()));
  options.weight = weight.data;

  CrossEntropyTarget target{};
  py::array labels;
  Input probabilities;
  if (!py::isinstance<py::array>(target_object))
    fail_type(kCrossEntropy, "target must be a NumPy array, got ",
              std::string(py::str(py::type::handle_of(target_object).attr("__name__"))));
  const auto array = py::reinterpret_borrow<py::array>(target_object);
  if (const char kind = array.dtype().kind(); kind == 'i' || kind == 'u') {
    labels = label_array(kCrossEntropy, array, n);
    target = {labels.data(), static_cast<int>(labels.itemsize()), kind == 'i', nullptr};
  } else {
    probabilities = probability_array(target_object, x, options.ignore_index);
    target.probabilities = probabilities.data;
  }

  const bool rowwise = options.reduction == Reduction::kNone;
  py::array loss =
      new_floats(rowwise ? std::vector<int64_t>{n} : std::vector<int64_t>{}, Order::kC);
  float *loss_data = floats(loss), *dx_data = nullptr;
  py::object dx = py::none();
  if (bool_parameter(kCrossEntropy, "with_grad", with_grad)) {
    py::array gradient = new_floats(x.shape, Order::kC);
    dx_data = floats(gradient);
    dx = std::move(gradient);
  }
  run_kernel([=, x = x.data] { cross_entropy(x, n, c, target, options, loss_data, dx_data); });
  return py::make_tuple(std::move(loss), std::move(dx));
}

}  // namespace

void register_cross_entropy(py::module_& m) {
  m.def("cross_entropy_forward", &cross_entropy_forward, py::arg("x"), py::arg("target"),
        py::kw_only(), py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
        py::arg("reduction") = "mean", py::arg("label_smoothing") = 0.0,
        py::arg("with_grad") = true,
        "(loss, dx) of logits x (N, C) against target: classes (N,) of any integer type, or "
        "probabilities (N, C).");
}

}  // namespace neurona
