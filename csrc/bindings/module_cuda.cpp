// The extension of a device, neurona._cuda or its emulation on the host: the ops of _core under the
// same names and rules, on arrays in the device's memory.
#include <pybind11/pybind11.h>

#include "bindings/device.h"
#include "bindings/register.h"
#include "core/errors.h"

PYBIND11_MODULE(NEURONA_DEVICE_MODULE, m) {
  namespace py = pybind11;
  m.doc() = "Kernels of neurona for a CUDA device. Not a public module: use neurona.cuda.";
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const neurona::TypeError& e) {
      py::set_error(PyExc_TypeError, e.what());
    }
  });
  neurona::register_device_memory(m);
  neurona::register_precision(m);
#if defined(NEURONA_EMULATED)
  neurona::register_emulation(m);
#else
  neurona::register_cuda_device(m);
#endif
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
  neurona::register_reorder(m);
}
