// Focal loss against labels of any integer type.
#include "ops/focal_loss.h"

#include <cmath>

#include "bindings/array.h"
#include "bindings/labels.h"
#include "bindings/reduction_name.h"
#include "bindings/register.h"

namespace neurona {
namespace {

constexpr const char* kFocalLoss = "focal_loss";

py::tuple focal_loss_forward(py::object x_object, py::object target_object, py::object gamma,
                             py::object weight_object, py::object ignore_index,
                             py::object reduction, py::object with_grad) {
  const Input x = input_array(kFocalLoss, "x", x_object, Order::kC, 2, "(N, C)");
  const int64_t n = x.shape[0], c = x.shape[1];
  if (c == 0)
    fail_value(kFocalLoss, "x must have C >= 1, got shape ", shape_text(x.shape.data(), 2));
  FocalLossOptions options{};
  options.gamma = float_parameter(kFocalLoss, "gamma", gamma);
  if (!(options.gamma >= 0 && std::isfinite(options.gamma)))
    fail_value(kFocalLoss, "gamma must be finite and >= 0, got ", options.gamma);
  options.ignore_index = int_parameter(kFocalLoss, "ignore_index", ignore_index);
  options.reduction = reduction_parameter(kFocalLoss, reduction);
  const Input weight = optional_array(kFocalLoss, "weight", weight_object, Order::kC);
  if (weight.data && (weight.ndim() != 1 || weight.shape[0] != c))
    fail_value(kFocalLoss, "weight must have shape (", c, ",), got shape ",
               shape_text(weight.shape.data(), weight.ndim()));
  options.weight = weight.data;
  if (!py::isinstance<py::array>(target_object))
    fail_type(kFocalLoss, "target must be a NumPy array, got ",
              std::string(py::str(py::type::handle_of(target_object).attr("__name__"))));
  const auto array = py::reinterpret_borrow<py::array>(target_object);
  const char kind = array.dtype().kind();
  if (kind != 'i' && kind != 'u')
    fail_type(kFocalLoss, "target must have an integer dtype, got ",
              std::string(py::str(array.dtype())), "; use .astype(np.int64)");
  const py::array labels = label_array(kFocalLoss, array, n);

  py::array loss = new_floats(
      options.reduction == Reduction::kNone ? std::vector<int64_t>{n} : std::vector<int64_t>{},
      Order::kC);
  float *loss_data = floats(loss), *dx_data = nullptr;
  py::object dx = py::none();
  if (bool_parameter(kFocalLoss, "with_grad", with_grad)) {
    py::array gradient = new_floats(x.shape, Order::kC);
    dx_data = floats(gradient);
    dx = std::move(gradient);
  }
  const Labels source{labels.data(), static_cast<int>(labels.itemsize()), kind == 'i'};
  {
    py::gil_scoped_release release;
    focal_loss(x.data, n, c, source, options, loss_data, dx_data);
  }
  return py::make_tuple(std::move(loss), std::move(dx));
}

}  // namespace

void register_focal_loss(py::module_& m) {
  m.def("focal_loss_forward", &focal_loss_forward, py::arg("x"), py::arg("target"), py::kw_only(),
        py::arg("gamma") = 2.0, py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
        py::arg("reduction") = "mean", py::arg("with_grad") = true,
        "(loss, dx) of logits x (N, C) against classes (N,) of any integer type.");
}

}  // namespace neurona
