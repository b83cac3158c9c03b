// Recordings of kernel calls, as a class for neurona.recording; on a device also as CUDA graphs.
#include "core/recording.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/register.h"
#if defined(NEURONA_DEVICE)
#include "cuda/graph.h"
#endif

namespace neurona {

namespace py = pybind11;

void register_recording(py::module_& m) {
  using WithoutGil = py::call_guard<py::gil_scoped_release>;
  // Local to the module: that of a device has a class of the same name.
  py::class_<Recording> recording(m, "Recording", py::module_local(),
                                  "Kernel calls of one thread, noted between start and stop. "
                                  "Whoever repeats them keeps the arrays that they work on.");
  recording.def(py::init<>())
      .def("start", &Recording::start, "Note the calls of this thread from here on.")
      .def_static("stop", &Recording::stop, "Note no more calls of this thread.")
      .def_property_readonly("size", &Recording::size, "The number of calls noted.")
      .def_property_readonly("refusal", &Recording::refusal,
                             "Why the calls cannot be repeated; empty if they can.")
      .def("change", &Recording::change, py::arg("call"), py::arg("numbers"),
           "Give the call of this number, an optimizer's step or a random draw, other numbers.")
      .def("replay", &Recording::replay, WithoutGil(),
           "Repeat the calls in their order, on the same memory.");
#if defined(NEURONA_DEVICE)
  py::class_<Graph>(m, "Graph", "The calls of a recording as a CUDA graph: launched by one call.")
      .def("launch", &Graph::launch, WithoutGil(), "Repeat the calls; does not wait for them.")
      .def("raise_late_error", &Graph::raise_late_error, WithoutGil(),
           "Raise what an earlier launch found wrong, if that is known; does not wait.");
  recording.def(
      "capture", [](Recording& calls) { return std::make_unique<Graph>([&] { calls.replay(); }); },
      WithoutGil(), "The calls, which have been repeated at least once, as a Graph.");
#endif
}

}  // namespace neurona
