// Recordings of kernel calls, as a class for neurona.recording.
#include "core/recording.h"

#include <pybind11/pybind11.h>

#include "bindings/register.h"

namespace neurona {

namespace py = pybind11;

void register_recording(py::module_& m) {
  py::class_<Recording>(m, "Recording",
                        "Kernel calls of one thread, noted between start and stop. Whoever repeats "
                        "them keeps the arrays that they work on.")
      .def(py::init<>())
      .def("start", &Recording::start, "Note the calls of this thread from here on.")
      .def_static("stop", &Recording::stop, "Note no more calls of this thread.")
      .def_property_readonly("size", &Recording::size, "The number of calls noted.")
      .def_property_readonly("refusal", &Recording::refusal,
                             "Why the calls cannot be repeated; empty if they can.")
      .def("replay", &Recording::replay, py::call_guard<py::gil_scoped_release>(),
           "Repeat the calls in their order, on the same memory.");
}

}  // namespace neurona
