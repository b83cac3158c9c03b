// Switches of the emulated device.
#include "cuda/emulation/capability.h"
#include "cuda/emulation/engine.h"

#include "bindings/array.h"
#include "bindings/device.h"
#include "cuda/emulation/usage.h"

namespace neurona {

void register_emulation(py::module_& m) {
  m.def(
      "set_schedule",
      [](const std::string& order, uint64_t seed) {
        emulation::Schedule schedule;
        schedule.seed = seed;
        if (order == "forward") {
          schedule.order = emulation::Order::kForward;
        } else if (order == "reverse") {
          schedule.order = emulation::Order::kReverse;
        } else if (order == "shuffled") {
          schedule.order = emulation::Order::kShuffled;
        } else {
          fail_value("set_schedule", "order must be 'forward', 'reverse' or 'shuffled', got '",
                     order, "'");
        }
        emulation::set_schedule(schedule);
      },
      py::arg("order"), py::arg("seed") = 0, "In which order threads and blocks take their turns.");
  m.def(
      "set_capability",
      [](int capability) {
        if (capability != 80 && capability != 90)
          fail_value("set_capability", "capability must be 80 or 90, got ", capability);
        emulation::set_capability(capability);
      },
      py::arg("capability"), "Which device is emulated, as it is made: sm_80 or sm_90a.");
  m.def("memory_in_use", &emulation::memory_in_use,
        "Bytes of the device's arrays that have been allocated and not freed.");
  m.def("launches", &emulation::launches, "Kernels that have been run.");
}

}  // namespace neurona
