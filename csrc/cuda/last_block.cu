#include "cuda/common/last_block.cuh"

#include "cuda/platform/device_memory.h"
#include "cuda/graph.h"

namespace neurona {

// Never freed. A step that is captured has run before, so they are there.
unsigned* block_counters() {
  static auto* const counters = [] {
    refuse_in_capture("the first use of the counters of blocks");
    constexpr size_t kBytes = kBlockCounters * sizeof(unsigned);
    auto* memory = static_cast<unsigned*>(device_allocate(kBytes));
    fill_on_device(memory, 0, kBytes);
    return memory;
  }();
  return counters;
}

}  // namespace neurona
