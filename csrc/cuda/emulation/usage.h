// How much of the emulated memory is in use, for tests.
#pragma once

#include <cstddef>

namespace neurona::emulation {

// Bytes of all arrays that have been allocated and not freed.
size_t memory_in_use();

}  // namespace neurona::emulation
