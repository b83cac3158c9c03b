// The GPU itself, which the emulation has not.
#include "cuda/runtime/device.h"

#include "bindings/device.h"
#include "cuda/runtime/stopwatch.h"

namespace neurona {

void register_cuda_device(pybind11::module_& m) {
  namespace py = pybind11;
  m.def("device_count", &device_count, "How many GPUs this process sees; 0 without a driver.");
  m.def("device_problem", &device_problem, "Why there is no GPU, in the driver's words.");
  m.def("device_name", &device_name, "The name of the GPU that is used.");
  py::class_<Stopwatch>(m, "Stopwatch", "Times of the work on the GPU, by its own clock.")
      .def(py::init<>())
      .def("start", &Stopwatch::start, "Begins after what the GPU was told before.")
      .def("stop", &Stopwatch::stop, py::call_guard<py::gil_scoped_release>(),
           "Milliseconds until all that it was told since is done.");
}

}  // namespace neurona
