// Copies that the device does by itself. A GPU may do them at once or as late as somebody needs
// them; the emulation does them as late as it can, so that a buffer that is changed or freed before
// its copy is done shows as wrong values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace neurona::emulation {

// In the order of the calls; returns the number of the copy.
uintptr_t copy_late(void* to, const void* from, size_t bytes);

// All of them, or those up to a number. Every other order to the device calls this first.
void finish_copies();
void finish_copies(uintptr_t last);

// Whether a copy that has not been done reads or writes these bytes of the host.
bool is_being_copied(const void* memory, size_t bytes);

}  // namespace neurona::emulation
