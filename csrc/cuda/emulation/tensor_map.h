// What a TensorMap holds on the emulated device, and how tiles are loaded from it.
#pragma once

#include "cuda/emulation/engine.h"
#include "cuda/platform/tensor_map.h"

namespace neurona::emulation {

// Starts to copy the tile at (depth, line, batch) to shared memory, swizzled: within each 1024
// bytes, bits 4 to 6 of an address are those of the element's place, exclusive or bits 7 to 9. The
// tile is NaN until the bytes arrive, which is as late as may be; the barrier counts them then.
void load_tile(const Site& site, const TensorMap& map, uint64_t* barrier, void* tile, int depth,
               int line, int batch);

// The same in each block of the cluster whose bit is set in `ranks`.
void load_tile_for(const Site& site, unsigned ranks, const TensorMap& map, uint64_t* barrier,
                   void* tile, int depth, int line, int batch);

// The same for a tile of patches: where its first line's pixel is, and how far beside the pixels
// the lines are read.
struct PatchPlace {
  int channel, w, h, image, offset_w, offset_h;
};
void load_patches(const Site& site, const TensorMap& map, uint64_t* barrier, void* tile,
                  const PatchPlace& place);

}  // namespace neurona::emulation
