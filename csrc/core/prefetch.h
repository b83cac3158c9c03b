// Asking for memory ahead of its use, where the hardware does not foresee it.
#pragma once

#include <cstdint>

#include "core/cpu.h"

namespace neurona {

// Whether arrays of so many bytes together come from memory and asking for them ahead pays: when
// they outgrow L2. Alone in a loop, arrays below a third of L3 come from there in time, and asking
// costs up to 5 % (Zen 5, 32 MiB); but between the other layers of a training step they do not (two
// threads and one: VGG-like network, batch 32, 1.05 and 1.09 times as fast; the networks of
// examples/mnist_under_33.py 1.04 and 1.015). A limit that was set for tests counts as well.
inline bool comes_from_memory(int64_t bytes) {
  return bytes > cache_sizes().l2 || outgrows_caches(bytes);
}

// Asks for `count` floats.
inline void prefetch(const float* data, int64_t count) {
  constexpr int64_t kLine = 16;
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(data + i);
  // Counts as an effect: GCC 12 leaves out calls of functions that do nothing but ask.
  asm volatile("");
}

}  // namespace neurona
