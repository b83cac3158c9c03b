// What the documentation of CUDA's driver says of the arguments that make a tensor map.
#pragma once

#include <stdexcept>

#include "runtime/tensor_map.h"

namespace ptx_machine {

// A rule that is broken, in words.
class BrokenRule : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void check_tiled(const TensorMapView& view);
void check_im2col(const TensorMapView& view);

}  // namespace ptx_machine
