// A recorded step as a graph of the device, with the arrays that it reads its inputs from and
// leaves its result in.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/array.h"
#include "bindings/memory.h"
#include "core/recording.h"
#include "cuda/graph.h"

namespace neurona {

namespace py = pybind11;

class CapturedStep {
 public:
  CapturedStep(Recording& calls, const std::vector<py::array>& inputs,
               const std::optional<py::array>& result)
      : inputs_(inputs) {
    for (const py::array& input : inputs) {
      check_home(kOp, "inputs", input);
      if (!is_dense(input)) fail_value(kOp, "inputs must be dense");
    }
    GraphResult left{};
    if (result) {
      check_home(kOp, "result", *result);
      result_ = *result;
      result_type_ = result->dtype();
      result_extents_ = extents(*result);
      result_order_ = natural_order(*result);
      leaves_result_ = is_dense(*result);
      if (leaves_result_) left = {result->data(), static_cast<size_t>(result->nbytes())};
    }
    const py::gil_scoped_release release;
    graph_ = std::make_unique<Graph>([&] { calls.replay(); }, left);
  }

  // A new array with the result of the step, or None if there is none. Inputs that lie in memory as
  // the step's own are copied by one kernel, others by one each; a result without gaps by the
  // graph.
  py::object launch(const std::vector<py::array>& inputs) {
    if (!inputs.empty() && inputs.size() != inputs_.size())
      fail_value(kOp, "inputs must be ", inputs_.size(), " arrays, got ", inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) check_input(inputs[i], inputs_[i]);
    std::vector<DeviceCopy> copies;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (lie_alike(inputs[i], inputs_[i]))
        copies.push_back(
            {inputs[i].data(), inputs_[i].mutable_data(), static_cast<size_t>(inputs[i].nbytes())});
      else
        copy_elements(inputs_[i], inputs[i]);
    }
    if (leaves_result_) {
      py::array result = new_array(result_type_, result_extents_, result_order_);
      enqueue(copies, result.mutable_data());
      return result;
    }
    enqueue(copies, nullptr);
    return result_ ? py::object(copied(*result_, Order::kC)) : py::none();
  }

  void raise_late_error() { graph_->raise_late_error(); }

 private:
  static constexpr const char* kOp = "Graph";

  void enqueue(const std::vector<DeviceCopy>& copies, void* result) {
    const py::gil_scoped_release release;
    graph_->launch(copies, result);
  }

  static std::vector<int64_t> extents(const py::array& array) {
    return {array.shape(), array.shape() + array.ndim()};
  }

  static bool is_dense(const py::array& array) {
    return (array.flags() & py::array::c_style) || natural_order(array) == Order::kChannelsLast;
  }

  static void check_input(const py::array& input, const py::array& own) {
    check_home(kOp, "inputs", input);
    const bool has_type = input.dtype().is(own.dtype()) || input.dtype().equal(own.dtype());
    if (!has_type || input.ndim() != own.ndim() ||
        !std::equal(input.shape(), input.shape() + input.ndim(), own.shape()))
      fail_value(kOp, "inputs must have the dtypes and shapes of the step's, got ",
                 std::string(py::str(input.dtype())), " of shape ",
                 shape_text(extents(input).data(), input.ndim()));
  }

  // Whether the elements have the same order in memory, without gaps: axes of one have any stride.
  static bool lie_alike(const py::array& input, const py::array& own) {
    for (py::ssize_t axis = 0; axis < own.ndim(); ++axis)
      if (own.shape(axis) > 1 && input.strides(axis) != own.strides(axis)) return false;
    return true;
  }

  std::vector<py::array> inputs_;
  std::optional<py::array> result_;
  // Of the result, so that nothing is computed anew for a launch, and whether the graph copies it.
  py::dtype result_type_;
  std::vector<int64_t> result_extents_;
  Order result_order_ = Order::kC;
  bool leaves_result_ = false;
  std::unique_ptr<Graph> graph_;  // goes first
};

}  // namespace neurona
