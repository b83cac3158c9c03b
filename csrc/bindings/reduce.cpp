// sum, mean and max over all axes, one, or several.
#include "ops/reduce.h"

#include "bindings/array.h"
#include "bindings/register.h"

namespace neurona {
namespace {

// Which axes `dim` names: None and () name all of them.
std::vector<bool> reduced_axes(const char* op, py::handle dim, int64_t ndim) {
  const bool several = PyTuple_Check(dim.ptr()) || PyList_Check(dim.ptr());
  if (dim.is_none() || (several && py::len(dim) == 0)) return std::vector<bool>(ndim, true);
  std::vector<bool> reduced(ndim, false);
  const auto mark = [&](py::handle item) {
    const int64_t axis = axis_parameter(op, "dim", item, ndim);
    if (reduced[axis])
      fail_value(op, "dim must name each axis once, got ", std::string(py::repr(dim)));
    reduced[axis] = true;
  };
  if (several) {
    for (const auto& item : py::reinterpret_borrow<py::sequence>(dim)) mark(item);
  } else {
    mark(dim);
  }
  return reduced;
}

std::vector<int64_t> reduced_shape(const std::vector<int64_t>& shape,
                                   const std::vector<bool>& reduced, bool keepdim) {
  std::vector<int64_t> result;
  for (size_t i = 0; i < shape.size(); ++i)
    if (!reduced[i] || keepdim) result.push_back(reduced[i] ? 1 : shape[i]);
  return result;
}

py::array sum_or_mean(const char* op, bool mean, py::handle x_object, py::handle dim,
                      py::handle keepdim_object) {
  const Order order = canonical_order(x_object);
  const Input x = input_array(op, "x", x_object, order);
  const std::vector<bool> reduced = reduced_axes(op, dim, x.ndim());
  const bool keepdim = bool_parameter(op, "keepdim", keepdim_object);
  const std::vector<int64_t> shape = reduced_shape(x.shape, reduced, keepdim);
  // A 4-D result keeps x's order; it is an activation still.
  py::array result = new_floats(shape, shape.size() == 4 ? order : Order::kC);

  std::vector<ReduceAxis> axes;
  double count = 1;
  for (int64_t i = 0, kept = 0; i < x.ndim(); ++i) {
    const int64_t stride =
        reduced[i] ? 0 : result.strides(kept) / static_cast<int64_t>(sizeof(float));
    axes.push_back({x.shape[i], reduced[i], stride});
    if (reduced[i]) count *= static_cast<double>(x.shape[i]);
    kept += !reduced[i] || keepdim;
  }
  if (order == Order::kChannelsLast) {
    axes.push_back(axes[1]);
    axes.erase(axes.begin() + 1);
  }
  float* y = floats(result);
  py::gil_scoped_release release;
  sum_axes(axes, x.data, mean ? count : 1.0, y);
  return result;
}

py::object max(py::object x_object, py::object dim, py::object keepdim_object) {
  constexpr const char* kOp = "max";
  const bool everything = dim.is_none();
  const Order order = everything ? natural_order(x_object) : Order::kC;
  const Input x = input_array(kOp, "x", x_object, order);
  const int64_t axis = everything ? 0 : axis_parameter(kOp, "dim", dim, x.ndim());
  const bool keepdim = bool_parameter(kOp, "keepdim", keepdim_object);
  if ((everything ? x.size() : x.shape[axis]) == 0)
    fail_value(kOp, "x must not be empty along dim ", std::string(py::str(dim)), ", got shape ",
               shape_text(x.shape.data(), x.ndim()));
  std::vector<bool> reduced(x.shape.size(), everything);
  if (!everything) reduced[axis] = true;
  const std::vector<int64_t> shape = reduced_shape(x.shape, reduced, keepdim);
  py::array values = new_floats(shape, Order::kC);
  float* values_data = floats(values);
  if (everything) {
    const int64_t count = x.size();
    py::gil_scoped_release release;
    max_all(x.data, count, values_data);
    return values;
  }
  py::array indices = new_array(py::dtype::of<int64_t>(), shape, Order::kC);
  auto* indices_data = static_cast<int64_t*>(indices.mutable_data());
  {
    py::gil_scoped_release release;
    max_axis(axis_view(x.shape, axis, false), x.data, values_data, indices_data);
  }
  return py::make_tuple(std::move(values), std::move(indices));
}

}  // namespace

void register_reduce(py::module_& m) {
  m.def(
      "sum",
      [](py::object x, py::object dim, py::object keepdim) {
        return sum_or_mean("sum", false, x, dim, keepdim);
      },
      py::arg("x"), py::arg("dim") = py::none(), py::arg("keepdim") = false,
      "Sum of x over dim: an axis, a tuple of axes, or None for all.");
  m.def(
      "mean",
      [](py::object x, py::object dim, py::object keepdim) {
        return sum_or_mean("mean", true, x, dim, keepdim);
      },
      py::arg("x"), py::arg("dim") = py::none(), py::arg("keepdim") = false,
      "Mean of x over dim: an axis, a tuple of axes, or None for all; of nothing, nan.");
  m.def("max", &max, py::arg("x"), py::arg("dim") = py::none(), py::arg("keepdim") = false,
        "The largest value, or (values, int64 indices) along an axis; the first winner counts, NaN "
        "wins.");
}

}  // namespace neurona
