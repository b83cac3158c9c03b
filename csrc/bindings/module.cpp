// The extension module neurona._core: a list of what it holds.
#include <pybind11/pybind11.h>

#include "bindings/register.h"
#include "kernels/select.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "Compiled kernels of neurona. Not a public module: use neurona.kernels.";
  neurona::selected_isa();  // a wrong NEURONA_ISA must fail here, with its name, not in the first
                            // kernel
  neurona::register_guards(m);
  neurona::register_recording(m);
  neurona::register_packed_weight(m);
  neurona::register_runtime(m);
  neurona::register_ops(m);
}
