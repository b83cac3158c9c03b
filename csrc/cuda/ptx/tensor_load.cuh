// Tiles by the copy engine of sm_90 (TMA), from a tensor map to shared memory.
#pragma once

#include "cuda/ptx/barrier.cuh"
#include "cuda/platform/tensor_map.h"

#if !defined(__CUDACC__)
#include "cuda/emulation/tensor_map.h"
#endif

namespace neurona {

// One thread starts to load the tile whose first element is (depth, line, batch) to `tile`, which
// begins at a multiple of 1024 bytes. All of its bytes count for the barrier's phase, those beyond
// the matrix too. Element addresses are swizzled: bits 4 to 6 exclusive or bits 7 to 9.
//
// load_tile_for() brings it to the same place in several blocks of the cluster, of which `ranks` is
// the set, and counts its bytes in each of them at the barrier that lies where this one does.
//
// load_patches() loads a tile of patches, from the pixel (h, w) of `image` on, which is one of
// those that the map numbers. Each line is read (offset_h, offset_w) beside its pixel,
// kMostPatchOffset at most.
#if defined(__CUDACC__)

__device__ inline void load_tile(const TensorMap& map, Barrier& barrier, void* tile, int depth,
                                 int line, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(tile)),
      "l"(&map), "r"(depth), "r"(line), "r"(batch), "r"(shared_address(&barrier))
      : "memory");
}

__device__ inline void load_tile_for(unsigned ranks, const TensorMap& map, Barrier& barrier,
                                     void* tile, int depth, int line, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      ".multicast::cluster [%0], [%1, {%2, %3, %4}], [%5], %6;" ::"r"(shared_address(tile)),
      "l"(&map), "r"(depth), "r"(line), "r"(batch), "r"(shared_address(&barrier)),
      "h"(static_cast<uint16_t>(ranks))
      : "memory");
}

__device__ inline void load_patches(const TensorMap& map, Barrier& barrier, void* tile, int channel,
                                    int w, int h, int image, int offset_w, int offset_h) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};" ::"r"(shared_address(tile)),
      "l"(&map), "r"(channel), "r"(w), "r"(h), "r"(image), "r"(shared_address(&barrier)),
      "h"(static_cast<uint16_t>(offset_w)), "h"(static_cast<uint16_t>(offset_h))
      : "memory");
}

#else

inline void load_tile(const TensorMap& map, Barrier& barrier, void* tile, int depth, int line,
                      int batch, emulation::Place place = emulation::Place::current()) {
  emulation::load_tile(emulation::site_of("cp.async.bulk.tensor", place), map, &barrier.state, tile,
                       depth, line, batch);
}

inline void load_tile_for(unsigned ranks, const TensorMap& map, Barrier& barrier, void* tile,
                          int depth, int line, int batch,
                          emulation::Place place = emulation::Place::current()) {
  emulation::load_tile_for(emulation::site_of("cp.async.bulk.tensor.multicast", place), ranks, map,
                           &barrier.state, tile, depth, line, batch);
}

inline void load_patches(const TensorMap& map, Barrier& barrier, void* tile, int channel, int w,
                         int h, int image, int offset_w, int offset_h,
                         emulation::Place place = emulation::Place::current()) {
  emulation::load_patches(emulation::site_of("cp.async.bulk.tensor.im2col", place), map,
                          &barrier.state, tile, {channel, w, h, image, offset_w, offset_h});
}

#endif

}  // namespace neurona
