// cp.async: copies from device memory to shared memory that pass no register and that a thread does
// not wait for. What a thread has asked for since its last commit_copies() is one group; groups
// arrive in order. A wait makes what has arrived visible to the thread that asked for it: others
// see it behind a barrier.
#pragma once

#include "cuda/device.h"

namespace neurona {

#if defined(__CUDACC__)

// kBytes, 4, 8 or 16, to an address that is a multiple of it: those at `from` if they are to be
// read, else zeros. `from` lies in an array in either case.
template <int kBytes>
__device__ inline void begin_copy(void* to, const void* from, bool is_read) {
  const auto place = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int read_bytes = is_read ? kBytes : 0;
  // Past L1 where that can be asked for: of what a block copies, nothing is read from L1 again but
  // what the taps of a convolution share, and that is in L2.
  if constexpr (kBytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from),
                 "r"(read_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(place), "l"(from),
                 "n"(kBytes), "r"(read_bytes)
                 : "memory");
}

__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all groups of this thread but the kNewest have arrived.
template <int kNewest>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kNewest) : "memory");
}

#else

template <int kBytes>
void begin_copy(void* to, const void* from, bool is_read) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  const size_t read_bytes = is_read ? kBytes : 0;
  emulation::begin_copy(NEURONA_SITE("cp.async"), {to, from, kBytes, read_bytes});
}

inline void commit_copies() { emulation::commit_copies(); }

template <int kNewest>
void wait_for_copies() {
  emulation::wait_for_copies(kNewest);
}

#endif

}  // namespace neurona
