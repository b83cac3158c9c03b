// Weights that are constant, with what the kernels made of them: `packed`, an attribute of
// read-only arrays (neurona.freezing).
#pragma once

#include "bindings/activation_name.h"
#include "bindings/array.h"
#include "core/conv2d_shape.h"

namespace neurona {

#if defined(NEURONA_DEVICE)
inline bool run_packed(py::handle, const Conv2dShape&, const float*, const float*, const Epilogue&,
                       float*) {
  return false;  // a device's tiles read the weights as they are
}
#else
// The convolution by weights that were packed ahead; false where `weight` is an ordinary array, or
// the shape gains nothing by it.
bool run_packed(py::handle weight, const Conv2dShape& shape, const float* x, const float* bias,
                const Epilogue& after, float* y);
#endif

}  // namespace neurona
