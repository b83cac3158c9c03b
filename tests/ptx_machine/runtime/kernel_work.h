// The launch of a kernel: what a stream does, and what a graph keeps and may be given anew.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/functions.h"

namespace ptx_machine {

struct Shape {
  dim3 grid, block;
  size_t dynamic_shared;
  dim3 cluster{1, 1, 1};
  bool overlaps = false;
};

// A Work. The arguments are copied from their addresses.
class KernelWork {
 public:
  // Refusal for what is no kernel, and for a shape that the kernel or the device does not have.
  KernelWork(const void* host_function, const Shape& shape, void** arguments);

  void operator()() const;
  const Shape& shape() const { return shape_; }

 private:
  const Kernel* kernel_;
  Shape shape_;
  std::string name_;
  std::shared_ptr<FatBinary> binary_;  // whose kernel it is
  std::vector<unsigned char> arguments_;
};

}  // namespace ptx_machine
