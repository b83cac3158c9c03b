// Class labels as arrays of any integer type.
#pragma once

#include "bindings/array.h"
#include "bindings/memory.h"

namespace neurona {

// The labels as a contiguous, aligned array in native byte order, whatever their integer type.
inline py::array label_array(const char* op, py::array target, int64_t n) {
  if (target.ndim() != 1 || target.shape(0) != n)
    fail_value(op, "target must have shape (", n, ",), got shape ",
               shape_text(target.shape(), target.ndim()));
  const bool ready = (target.flags() & py::array::c_style) != 0 &&
                     target.dtype().byteorder() != '>' &&
                     reinterpret_cast<uintptr_t>(target.data()) % target.itemsize() == 0;
  check_home(op, "target", target);
  return ready ? target : copied(target, Order::kC);
}

}  // namespace neurona
