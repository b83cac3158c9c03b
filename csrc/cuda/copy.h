// Copies between arrays of any strides.
#pragma once

#include <cstdint>
#include <vector>

namespace neurona {

// Strides in bytes.
struct StridedCopy {
  std::vector<int64_t> shape, from_strides, to_strides;
  int64_t item_bytes;
};

// ValueError for strides that are no multiple of the item.
void copy_strided(const StridedCopy& copy, const void* from, void* to);

}  // namespace neurona
