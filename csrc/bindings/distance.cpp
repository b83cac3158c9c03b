// Distances between the rows of two sets.
#include "ops/distance.h"

#include "bindings/array.h"
#include "bindings/register.h"

namespace neurona {
namespace {

Distance distance_parameter(const char* op, py::handle name) {
  if (!PyUnicode_Check(name.ptr()))
    fail_type(op, "distance must be 'l2' or 'l1', got ", std::string(py::repr(name)));
  if (PyUnicode_CompareWithASCIIString(name.ptr(), "l2") == 0) return Distance::kSquared;
  if (PyUnicode_CompareWithASCIIString(name.ptr(), "l1") == 0) return Distance::kAbsolute;
  fail_value(op, "distance must be 'l2' or 'l1', got ", std::string(py::repr(name)));
}

py::array distances(py::object x_object, py::object y_object, py::object distance_name,
                    py::object squared_flag) {
  constexpr const char* kOp = "pairwise_distances";
  const Distance distance = distance_parameter(kOp, distance_name);
  const bool squared = bool_parameter(kOp, "squared", squared_flag);
  const Input x = input_array(kOp, "x", x_object, Order::kC, 2, "(N, D)");
  const Input y = input_array(kOp, "y", y_object, Order::kC, 2, "(M, D)");
  if (x.shape[1] != y.shape[1])
    fail_value(kOp, "y must have ", x.shape[1], " columns as x, got ", y.shape[1]);
  py::array d = new_array(py::dtype::of<double>(), {x.shape[0], y.shape[0]}, Order::kC);
  auto* data = static_cast<double*>(d.mutable_data());
  if (d.size() == 0) return d;
  const bool l2 = distance == Distance::kSquared;
  py::gil_scoped_release release;
  pairwise_distances({distance, l2 && !squared, !l2 && squared}, x.shape[0], y.shape[0], x.shape[1],
                     x.data, y.data, data);
  return d;
}

}  // namespace

void register_distance(py::module_& m) {
  m.def("pairwise_distances", &distances, py::arg("x"), py::arg("y"), py::kw_only(),
        py::arg("distance") = "l2", py::arg("squared") = false,
        "d (N, M) in float64: the \"l2\" or \"l1\" distances, or their squares, between the rows "
        "of x (N, D) and y (M, D).");
}

}  // namespace neurona
