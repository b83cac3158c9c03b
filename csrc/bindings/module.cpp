// The extension module neurona._core: a list of what it holds.
#include <pybind11/pybind11.h>

#include "bindings/register.h"
#include "core/errors.h"
#include "kernels/select.h"

PYBIND11_MODULE(_core, m) {
  namespace py = pybind11;
  m.doc() = "Compiled kernels of neurona. Not a public module: use neurona.kernels.";
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const neurona::TypeError& e) {
      py::set_error(PyExc_TypeError, e.what());
    }
  });
  neurona::selected_isa();  // a wrong NEURONA_ISA must fail here, with its name, not in the first
                            // kernel
  neurona::register_activation(m);
  neurona::register_adaptive(m);
  neurona::register_affine(m);
  neurona::register_batch_norm(m);
  neurona::register_conv2d(m);
  neurona::register_cross_entropy(m);
  neurona::register_distance(m);
  neurona::register_elementwise(m);
  neurona::register_focal_loss(m);
  neurona::register_gemm(m);
  neurona::register_optim(m);
  neurona::register_pointwise_loss(m);
  neurona::register_pool2d(m);
  neurona::register_avg_pool2d(m);
  neurona::register_softmax(m);
  neurona::register_reduce(m);
  neurona::register_upsample(m);
  neurona::register_random(m);
  neurona::register_recording(m);
  neurona::register_reorder(m);
  neurona::register_runtime(m);
}
