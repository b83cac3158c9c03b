// Clusters (sm_90): neighbouring blocks that run at once and reach each other's shared memory, with
// arrive_at() (barrier.cuh) and load_tile_for() (tensor_load.cuh). A block must not end while
// another one may still reach it.
#pragma once

#include "cuda/device.h"

namespace neurona {

// cluster_rank() is which of its cluster's blocks this one is. At cluster_barrier() every thread of
// every block waits for all the others, and sees then what they wrote before; warps come as a
// whole.
#if defined(__CUDACC__)

__device__ inline unsigned cluster_rank() {
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ inline void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

#else

inline unsigned cluster_rank() { return emulation::cluster_rank(); }

inline void cluster_barrier(emulation::Place place = emulation::Place::current()) {
  emulation::cluster_barrier(emulation::site_of("barrier.cluster", place));
}

#endif

}  // namespace neurona
