// The process's two rings of pinned buffers, one for each direction, so that nobody who sends a
// batch waits for a thread that waits for a result. Nothing is reserved before it is needed.
#pragma once

#include "cuda/platform/pinned_buffer.h"
#include "cuda/staging_ring.h"

namespace neurona {

// Never destroyed: the driver may go before.
inline StagingRing<PinnedBuffer>& to_device_ring() {
  static auto* ring = new StagingRing<PinnedBuffer>;
  return *ring;
}

inline StagingRing<PinnedBuffer>& to_host_ring() {
  static auto* ring = new StagingRing<PinnedBuffer>;
  return *ring;
}

}  // namespace neurona
