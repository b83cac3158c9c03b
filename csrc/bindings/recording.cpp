// Recordings of kernel calls, as a class for neurona.recording; on a device also as CUDA graphs.
#include "core/recording.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/register.h"
#if defined(NEURONA_DEVICE)
#include "bindings/captured_step.h"
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
  py::class_<CapturedStep>(m, "Graph",
                           "The calls of a recording as a CUDA graph: launched by one call.")
      .def("launch", &CapturedStep::launch, py::arg("inputs") = py::list(),
           "Repeat the calls on these arrays, by default on those of before; a new array with the "
           "result. Does not wait for it.")
      .def("raise_late_error", &CapturedStep::raise_late_error, WithoutGil(),
           "Raise what an earlier launch found wrong, if that is known; does not wait.");
  recording.def(
      "capture",
      [](Recording& calls, const std::vector<py::array>& inputs,
         const std::optional<py::array>& result) {
        return std::make_unique<CapturedStep>(calls, inputs, result);
      },
      py::arg("inputs") = py::list(), py::arg("result") = py::none(),
      "The calls, which have been repeated at least once, as a Graph. They read `inputs`, which "
      "are "
      "dense, and leave `result`.");
#endif
}

}  // namespace neurona
