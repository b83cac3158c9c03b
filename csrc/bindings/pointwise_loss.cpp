// Losses of two arrays of one shape. Arrays are brought to canonical_order, so that the sum is the
// same to the bit whatever the strides of the inputs.
#include "ops/pointwise_loss.h"

#include <limits>

#include "bindings/array.h"
#include "bindings/reduction_name.h"
#include "bindings/register.h"

namespace neurona {
namespace {

constexpr const char* kPointwiseLoss = "pointwise_loss";
constexpr const char* kLossNames[kPointwiseLossCount] = {
    "mse", "l1", "huber", "smooth_l1", "hinge", "bce", "bce_with_logits", "kl_div", "kl_div_log"};

PointwiseLoss loss_parameter(py::handle value) {
  const auto rule = [&] {
    std::string names;
    for (const char* name : kLossNames)
      names += (names.empty() ? "'" : ", '") + std::string(name) + "'";
    return "loss must be one of " + names + ", got " + std::string(py::repr(value));
  };
  if (!PyUnicode_Check(value.ptr())) fail_type(kPointwiseLoss, rule());
  for (int i = 0; i < kPointwiseLossCount; ++i)
    if (PyUnicode_CompareWithASCIIString(value.ptr(), kLossNames[i]) == 0)
      return static_cast<PointwiseLoss>(i);
  fail_value(kPointwiseLoss, rule());
}

float checked_parameter(PointwiseLoss loss, py::handle object) {
  const double value = finite_parameter(kPointwiseLoss, "parameter", object);
  if (loss == PointwiseLoss::kHuber && !(value > 0))
    fail_value(kPointwiseLoss, "parameter (delta) must be > 0, got ", value);
  if (loss == PointwiseLoss::kSmoothL1 && !(value >= 0))
    fail_value(kPointwiseLoss, "parameter (beta) must be >= 0, got ", value);
  // Out of float32's range a conversion would be undefined: nothing is larger than its largest.
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(value > kLargest ? kLargest : value < -kLargest ? -kLargest : value);
}

// The weights of the positives: one for all elements, or of x's shape.
Input weight_array(py::handle object, const Input& x, Order order, PointwiseLoss loss) {
  if (object.is_none()) return {};
  if (loss != PointwiseLoss::kBceWithLogits)
    fail_value(kPointwiseLoss,
               "pos_weight must be None unless loss is 'bce_with_logits', got an array");
  Input weight = input_array(kPointwiseLoss, "pos_weight", object, order);
  if (weight.size() != 1 && weight.shape != x.shape)
    fail_value(kPointwiseLoss, "pos_weight must hold one value or have the shape of x, ",
               shape_text(x.shape.data(), x.ndim()), ", got shape ",
               shape_text(weight.shape.data(), weight.ndim()));
  return weight;
}

py::object new_gradient(const Input& x, Order order, py::handle wanted, const char* name,
                        float** data) {
  if (!bool_parameter(kPointwiseLoss, name, wanted)) return py::none();
  py::array gradient = new_floats(x.shape, order);
  *data = floats(gradient);
  return gradient;
}

py::tuple pointwise_loss_forward(py::object x_object, py::object target_object,
                                 py::object loss_object, py::object parameter,
                                 py::object pos_weight_object, py::object reduction_object,
                                 py::object with_grad, py::object with_target_grad) {
  const Order order = canonical_order(x_object);
  const Input x = input_array(kPointwiseLoss, "x", x_object, order),
              target = input_array(kPointwiseLoss, "target", target_object, order);
  if (target.shape != x.shape)
    fail_value(kPointwiseLoss, "target must have shape ", shape_text(x.shape.data(), x.ndim()),
               ", got shape ", shape_text(target.shape.data(), target.ndim()));
  const PointwiseLoss loss = loss_parameter(loss_object);
  PointwiseLossArrays arrays{};
  arrays.x = x.data;
  arrays.target = target.data;
  arrays.parameter = checked_parameter(loss, parameter);
  const Input weight = weight_array(pos_weight_object, x, order, loss);
  arrays.pos_weight = weight.data;
  arrays.pos_weight_is_a_value = weight.data && weight.size() == 1;
  const Reduction reduction = reduction_parameter(kPointwiseLoss, reduction_object);
  py::object dx = new_gradient(x, order, with_grad, "with_grad", &arrays.dx),
             dtarget =
                 new_gradient(x, order, with_target_grad, "with_target_grad", &arrays.dtarget);
  py::array result =
      new_floats(reduction == Reduction::kNone ? x.shape : std::vector<int64_t>{}, order);
  float* losses = floats(result);
  const int64_t count = x.size();
  {
    py::gil_scoped_release release;
    pointwise_loss(loss, arrays, count, reduction, losses);
  }
  return py::make_tuple(std::move(result), std::move(dx), std::move(dtarget));
}

}  // namespace

void register_pointwise_loss(py::module_& m) {
  m.def("pointwise_loss_forward", &pointwise_loss_forward, py::arg("x"), py::arg("target"),
        py::arg("loss"), py::kw_only(), py::arg("parameter") = 1.0,
        py::arg("pos_weight") = py::none(), py::arg("reduction") = "mean",
        py::arg("with_grad") = true, py::arg("with_target_grad") = false,
        "(loss, dx, dtarget) of x and a target of its shape; loss is 'mse', 'l1', 'huber', "
        "'smooth_l1', 'hinge', 'bce', 'bce_with_logits', 'kl_div' or 'kl_div_log'.");
}

}  // namespace neurona
