// What the emulated device has been used for, for tests.
#pragma once

#include <cstddef>
#include <cstdint>

namespace neurona::emulation {

// Bytes of all arrays that have been allocated and not freed.
size_t memory_in_use();

// Kernels that have been run. Each costs a GPU about two microseconds, however little it does.
int64_t launches();

}  // namespace neurona::emulation
