// Atomic operations that say in which order other memory is seen.
#pragma once

#include "cuda/device.h"

namespace neurona {

// What atomicInc() does, between the blocks of a GPU: whoever sees the new number sees too what
// this thread wrote before, or saw written, and this thread sees what those did that counted before
// it. nvcc makes one fence of that, in front of the addition. With __threadfence() on both sides
// there are two, of the kind that puts the fences of all threads in one order.
#if defined(__CUDACC__)
__device__ inline unsigned increment_in_order(unsigned* counter, unsigned most) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.inc.u32 %0, [%1], %2;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(counter)), "r"(most)
               : "memory");
  return before;
}
#else
inline unsigned increment_in_order(unsigned* counter, unsigned most) {
  return atomicInc(counter, most);
}
#endif

}  // namespace neurona
