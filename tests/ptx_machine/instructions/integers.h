// Arithmetic of integers that registers and memory (atom) have in common.
#pragma once

#include <cstdint>
#include <type_traits>

namespace ptx_machine {

// Sums that wrap around, as the device's do; wide enough that C++ promotes nothing to a signed
// type.
template <typename T>
using Wrapping = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <typename T>
Wrapping<T> bits(T value) {
  return static_cast<Wrapping<T>>(value);
}

struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(bits(a) + bits(b));
  }
};
struct Smaller {
  template <typename T>
  T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};
struct Larger {
  template <typename T>
  T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};
}  // namespace ptx_machine
