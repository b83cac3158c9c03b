// Barriers in shared memory that count arrivals and bytes (mbarrier, sm_90). A phase ends when the
// number of arrivals that the barrier was made for, and all bytes that were announced, have come;
// the first phase has parity 0. A new barrier counts as having ended one of parity 1.
#pragma once

#include "cuda/device.h"

#if !defined(__CUDACC__)
#include "cuda/emulation/block.h"
#include "cuda/emulation/place.h"
#endif

namespace neurona {

struct Barrier {
  uint64_t state;
};

#if defined(__CUDACC__)

// As instructions on shared memory take it.
__device__ inline uint32_t shared_address(const void* memory) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(memory));
}

__device__ inline void init_barrier(Barrier& barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)),
               "r"(arrivals)
               : "memory");
}

// After init_barrier(), for transfers to see it; other threads wait at __syncthreads() as well, and
// other blocks at cluster_barrier().
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void arrive(Barrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier))
               : "memory");
}

// Arrives at the barrier that lies at the same place in another block of the cluster, or in this
// one. That publishes nothing that was written before: with `.release.cluster` nvcc puts a fence
// for the whole GPU in front of each arrival, hundreds of cycles in every step of a product.
__device__ inline void arrive_at(Barrier& barrier, unsigned rank) {
  asm volatile(
      "{ .reg .b32 there; mapa.shared::cluster.u32 there, %0, %1; "
      "mbarrier.arrive.shared::cluster.b64 _, [there]; }" ::"r"(shared_address(&barrier)),
      "r"(rank)
      : "memory");
}

// Arrives, and announces that as many bytes will come to the phase.
__device__ inline void arrive_expecting(Barrier& barrier, unsigned bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
      "r"(bytes)
      : "memory");
}

// Until the phase of this parity has ended.
__device__ inline void wait(Barrier& barrier, unsigned parity) {
  unsigned done = 0;
  while (!done)
    asm volatile(
        "{ .reg .pred done; mbarrier.try_wait.parity.shared::cta.b64 done, [%1], %2; "
        "selp.u32 %0, 1, 0, done; }"
        : "=r"(done)
        : "r"(shared_address(&barrier)), "r"(parity)
        : "memory");
}

#else

inline uint32_t shared_address(const void* memory) {
  return emulation::block().shared.address(memory);
}

inline void init_barrier(Barrier& barrier, unsigned arrivals,
                         emulation::Place place = emulation::Place::current()) {
  emulation::block().mbarriers.init(emulation::site_of("mbarrier.init", place), &barrier.state,
                                    arrivals);
}

inline void publish_barriers() { emulation::block().mbarriers.publish(); }

inline void arrive(Barrier& barrier, emulation::Place place = emulation::Place::current()) {
  emulation::block().mbarriers.arrive(emulation::site_of("mbarrier.arrive", place), &barrier.state,
                                      0);
}

inline void arrive_at(Barrier& barrier, unsigned rank,
                      emulation::Place place = emulation::Place::current()) {
  emulation::arrive_at(emulation::site_of("mbarrier.arrive.shared::cluster", place), &barrier.state,
                       rank);
}

inline void arrive_expecting(Barrier& barrier, unsigned bytes,
                             emulation::Place place = emulation::Place::current()) {
  emulation::block().mbarriers.arrive(emulation::site_of("mbarrier.arrive", place), &barrier.state,
                                      bytes);
}

inline void wait(Barrier& barrier, unsigned parity,
                 emulation::Place place = emulation::Place::current()) {
  const emulation::Site site = emulation::site_of("mbarrier.try_wait", place);
  emulation::block().mbarriers.wait(site, &barrier.state, parity);
}

#endif

}  // namespace neurona
