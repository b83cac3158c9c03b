// How a binding calls its kernel.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

#include "core/recording.h"

namespace neurona {

// Runs `kernel` without the GIL, and notes it while a step is recorded. It is called again later,
// so it holds by value all that it needs, and no Python object: pointers, sizes, options. Options
// that may differ in each call are shared with `change`, which sets them.
template <typename Kernel>
void run_kernel(const Kernel& kernel, Recording::Change change = {}) {
  {
    const pybind11::gil_scoped_release release;
    kernel();
  }
  if (Recording* recording = Recording::current()) recording->add(kernel, std::move(change));
}

// Says that what the binding just did cannot be repeated by calling the kernel alone.
inline void refuse_recording(const char* reason) {
  if (Recording* recording = Recording::current()) recording->refuse(reason);
}

}  // namespace neurona
