// Neighbouring channels that one thread works on: four where the layout allows a load and a store
// of 16 bytes, else one. The results are the same.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "cuda/device.h"

namespace neurona {

template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Lanes {
  T value[kCount];

  __device__ T& operator[](int lane) { return value[lane]; }
  __device__ const T& operator[](int lane) const { return value[lane]; }
};

// Calls body(std::integral_constant of 4 or 1) for arrays whose innermost axis is `channels` long.
template <typename Body>
void with_lanes(int64_t channels, std::initializer_list<const void*> arrays, const Body& body) {
  bool in_fours = channels % 4 == 0;
  for (const void* array : arrays)
    in_fours = in_fours && reinterpret_cast<uintptr_t>(array) % (4 * sizeof(float)) == 0;
  if (in_fours)
    body(std::integral_constant<int, 4>{});
  else
    body(std::integral_constant<int, 1>{});
}

template <int kCount, typename T>
const Lanes<T, kCount>* as_lanes(const T* array) {
  return reinterpret_cast<const Lanes<T, kCount>*>(array);
}

template <int kCount, typename T>
Lanes<T, kCount>* as_lanes(T* array) {
  return reinterpret_cast<Lanes<T, kCount>*>(array);
}

}  // namespace neurona
