// The `reduction=` argument of the losses.
#pragma once

#include "bindings/array.h"
#include "ops/cross_entropy.h"

namespace neurona {

inline Reduction reduction_parameter(const char* op, py::handle value) {
  if (!PyUnicode_Check(value.ptr()))
    fail_type(op, "reduction must be 'mean', 'sum' or 'none', got ", std::string(py::repr(value)));
  if (PyUnicode_CompareWithASCIIString(value.ptr(), "mean") == 0) return Reduction::kMean;
  if (PyUnicode_CompareWithASCIIString(value.ptr(), "sum") == 0) return Reduction::kSum;
  if (PyUnicode_CompareWithASCIIString(value.ptr(), "none") == 0) return Reduction::kNone;
  fail_value(op, "reduction must be 'mean', 'sum' or 'none', got ", std::string(py::repr(value)));
}

}  // namespace neurona
