// cp.async as late as CUDA allows: the destination is NaN from the moment that a thread asks for
// the copy, and the bytes arrive only when that thread waits for their group. So a wait that leaves
// one group too many, none at all, or no barrier behind it shows in the result.
#pragma once

#include <cstddef>
#include <vector>

#include "cuda/emulation/engine.h"

namespace neurona::emulation {

// The copies of one thread that are under way, in groups.
class AsyncCopies {
 public:
  struct Copy {
    void* to;
    const void* from;
    size_t bytes, read_bytes;  // of those, so many are read, and the others become 0
  };

  void forget();
  void begin(const Copy& copy);
  void commit() { ends_.push_back(copies_.size()); }
  // Until all but the `newest` groups have arrived.
  void wait(size_t newest);
  bool under_way() const { return !copies_.empty(); }

 private:
  std::vector<Copy> copies_;
  std::vector<size_t> ends_;  // of the groups, in copies_
};

// What ptx/cp_async.cuh calls. Bytes are copied from device memory to shared memory, both aligned
// to `bytes`, which is 4, 8 or 16.
void begin_copy(const Site& site, const AsyncCopies::Copy& copy);
void commit_copies();
void wait_for_copies(size_t newest);

}  // namespace neurona::emulation
