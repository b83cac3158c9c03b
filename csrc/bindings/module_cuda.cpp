// The extension of a device, neurona._cuda or its emulation on the host: the ops of _core under the
// same names and rules, on arrays in the device's memory.
#include <pybind11/pybind11.h>

#include "bindings/device.h"
#include "bindings/register.h"

PYBIND11_MODULE(NEURONA_DEVICE_MODULE, m) {
  m.doc() = "Kernels of neurona for a CUDA device. Not a public module: use neurona.cuda.";
  neurona::register_device_memory(m);
  neurona::register_borrowed(m);
  neurona::register_dlpack(m);
  neurona::register_precision(m);
#if defined(NEURONA_EMULATED)
  neurona::register_emulation(m);
#else
  neurona::register_cuda_device(m);
#endif
  neurona::register_recording(m);
  neurona::register_ops(m);
}
