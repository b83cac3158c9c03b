// Launches by the calls of the runtime that takes the place of NVIDIA's, to test those calls.
#pragma once

#include <pybind11/pybind11.h>

namespace ptx_machine {

void bind_launches(pybind11::module_& m);

}  // namespace ptx_machine
