// Weights that are constant, with what the kernels made of them: `packed`, an attribute of
// read-only arrays (neurona.freezing).
#pragma once

#include "bindings/activation_name.h"
#include "bindings/array.h"
#include "core/conv2d_shape.h"
#include "core/gemm_shape.h"

namespace neurona {

#if defined(NEURONA_DEVICE)
// A device's tiles read the weights as they are.
inline bool run_packed(py::handle, const Conv2dShape&, const float*, const float*, const Epilogue&,
                       float*) {
  return false;
}
inline const float* packed_columns(py::handle, const GemmShape&) { return nullptr; }
#else
// The convolution by weights that were packed ahead; false where `weight` is an ordinary array, or
// the shape gains nothing by it.
bool run_packed(py::handle weight, const Conv2dShape& shape, const float* x, const float* bias,
                const Epilogue& after, float* y);

// What gemm_pack_b() makes of a weight (n, k), transposed, or null where `weight` is an ordinary
// array.
const float* packed_columns(py::handle weight, const GemmShape& shape);
#endif

}  // namespace neurona
