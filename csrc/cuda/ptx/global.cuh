// Loads of the device's memory by addresses of which the compiler cannot know that they lie there:
// because they came by way of shared memory, or are one of two. It would take loads that look
// first which memory is meant, and that wait for those of shared memory, too.
#pragma once

#include "cuda/device.h"

namespace neurona {

#if defined(__CUDACC__)

template <typename T>
__device__ inline T load_global(const T* address) {
  __builtin_assume(__isGlobal(address));
  return *address;
}

#else

template <typename T>
T load_global(const T* address, emulation::Place place = emulation::Place::current()) {
  emulation::check_not_shared(emulation::site_of("load_global", place), address);
  return *address;
}

#endif

}  // namespace neurona
