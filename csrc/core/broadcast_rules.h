// NumPy's broadcasting.
#pragma once

#include <cstdint>
#include <vector>

namespace neurona {

// The shape that NumPy's rules give two shapes; ValueError naming both when there is none.
std::vector<int64_t> broadcast_shape(const char* op, const std::vector<int64_t>& a,
                                     const std::vector<int64_t>& b);

}  // namespace neurona
