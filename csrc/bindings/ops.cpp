// What every extension has: the ops, and the exception that they throw beside the standard ones.
#include <pybind11/pybind11.h>

#include "bindings/register.h"
#include "core/errors.h"

namespace neurona {

void register_ops(pybind11::module_& m) {
  pybind11::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const TypeError& e) {
      pybind11::set_error(PyExc_TypeError, e.what());
    }
  });
  register_activation(m);
  register_adaptive(m);
  register_affine(m);
  register_batch_norm(m);
  register_conv2d(m);
  register_cross_entropy(m);
  register_distance(m);
  register_elementwise(m);
  register_focal_loss(m);
  register_gemm(m);
  register_optim(m);
  register_pointwise_loss(m);
  register_pool2d(m);
  register_avg_pool2d(m);
  register_softmax(m);
  register_reduce(m);
  register_upsample(m);
  register_random(m);
  register_reorder(m);
}

}  // namespace neurona
