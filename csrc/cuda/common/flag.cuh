// Something that any thread may find and the host asks for once.
#pragma once

#include "cuda/device.h"
#include "cuda/platform/device_memory.h"

namespace neurona {

class Flag {
 public:
  Flag() : memory_(sizeof(int)) { fill_on_device(memory_.as<int>(), 0, sizeof(int)); }

  int* get() const { return memory_.as<int>(); }
  // Waits for the kernels.
  bool is_raised() const { return read_back(get()) != 0; }

 private:
  Workspace memory_;
};

__device__ inline void raise(int* flag) { atomicMax(flag, 1); }

}  // namespace neurona
