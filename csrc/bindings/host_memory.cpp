// Arrays of _core lie in the host's memory, new ones in the arena.
#include "bindings/memory.h"

#include "core/arena.h"

namespace neurona {

namespace py = pybind11;

py::capsule new_memory(size_t bytes) {
  return py::capsule(arena_allocate(bytes), [](void* block) { arena_free(block); });
}

void copy_elements(const py::array& to, const py::array& from) {
  static PyObject* copyto = py::object(py::module_::import("numpy").attr("copyto")).release().ptr();
  py::reinterpret_borrow<py::object>(copyto)(to, from);
}

}  // namespace neurona
