// Which device is emulated.
#pragma once

#include <cstddef>

namespace neurona::emulation {

// 80 unless told otherwise.
void set_capability(int capability);

// Of a block, in bytes: 99 KiB is what every GPU since sm_80 offers, although sm_80 itself has 163
// KiB; the kernels for sm_90 may use all of its 227 KiB.
constexpr size_t kMostSharedBytesEver = 227 * 1024;
size_t most_shared_bytes();

}  // namespace neurona::emulation
