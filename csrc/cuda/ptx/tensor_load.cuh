// Tiles by the copy engine of sm_90 (TMA), from a tensor map to shared memory.
#pragma once

#include "cuda/ptx/barrier.cuh"
#include "cuda/tensor_map.h"

#if !defined(__CUDACC__)
#include "cuda/emulation/tensor_map.h"
#endif

namespace neurona {

// One thread starts to load the tile whose first element is (depth, line, batch) to `tile`, which
// begins at a multiple of 1024 bytes. All of its bytes count for the barrier's phase, those beyond
// the matrix too. Element addresses are swizzled: bits 4 to 6 exclusive or bits 7 to 9.
#if defined(__CUDACC__)

__device__ inline void load_tile(const TensorMap& map, Barrier& barrier, void* tile, int depth,
                                 int line, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(tile)),
      "l"(&map), "r"(depth), "r"(line), "r"(batch), "r"(shared_address(&barrier))
      : "memory");
}

#else

inline void load_tile(const TensorMap& map, Barrier& barrier, void* tile, int depth, int line,
                      int batch, emulation::Place place = emulation::Place::current()) {
  emulation::load_tile(emulation::site_of("cp.async.bulk.tensor", place), map, &barrier.state, tile,
                       depth, line, batch);
}

#endif

}  // namespace neurona
