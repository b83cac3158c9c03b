// One function per topic adds its ops to the module; ops.cpp lists those that every extension has.
#pragma once

#include <pybind11/pybind11.h>

namespace neurona {

void register_ops(pybind11::module_& m);

void register_activation(pybind11::module_& m);
void register_adaptive(pybind11::module_& m);
void register_affine(pybind11::module_& m);
void register_batch_norm(pybind11::module_& m);
void register_conv2d(pybind11::module_& m);
void register_cross_entropy(pybind11::module_& m);
void register_distance(pybind11::module_& m);
void register_elementwise(pybind11::module_& m);
void register_focal_loss(pybind11::module_& m);
void register_gemm(pybind11::module_& m);
void register_guards(pybind11::module_& m);
void register_optim(pybind11::module_& m);
void register_pointwise_loss(pybind11::module_& m);
void register_pool2d(pybind11::module_& m);
void register_avg_pool2d(pybind11::module_& m);
void register_softmax(pybind11::module_& m);
void register_reduce(pybind11::module_& m);
void register_upsample(pybind11::module_& m);
void register_packed_weight(pybind11::module_& m);
void register_random(pybind11::module_& m);
void register_recording(pybind11::module_& m);
void register_reorder(pybind11::module_& m);
void register_runtime(pybind11::module_& m);

}  // namespace neurona
