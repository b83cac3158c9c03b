// Neighbouring channels that one thread works on: four where the layout allows a load and a store
// of 16 bytes, else one. The results are the same.
#pragma once

#include <initializer_list>
#include <type_traits>

#include "cuda/device.h"

namespace neurona {

template <typename T, int kCount, int kAlignment = kCount * sizeof(T)>
struct alignas(kAlignment) Lanes {
  static constexpr int kLanes = kCount;
  T value[kCount];

  __device__ T& operator[](int lane) { return value[lane]; }
  __device__ const T& operator[](int lane) const { return value[lane]; }
};

// Four that may lie anywhere: loaded one by one, for sums whose order must not depend on where.
using LooseLanes = Lanes<float, 4, sizeof(float)>;

inline bool are_aligned(std::initializer_list<const void*> arrays) {
  for (const void* array : arrays)
    if (reinterpret_cast<uintptr_t>(array) % (4 * sizeof(float)) != 0) return false;
  return true;
}

// Calls body(std::integral_constant of 4 or 1) for arrays whose innermost axis is `channels` long.
template <typename Body>
void with_lanes(int64_t channels, std::initializer_list<const void*> arrays, const Body& body) {
  if (channels % 4 == 0 && are_aligned(arrays))
    body(std::integral_constant<int, 4>{});
  else
    body(std::integral_constant<int, 1>{});
}

// The same with 2 as well.
template <typename Body>
void with_even_lanes(int64_t channels, std::initializer_list<const void*> arrays,
                     const Body& body) {
  if (channels % 4 == 2 && are_aligned(arrays))
    body(std::integral_constant<int, 2>{});
  else
    with_lanes(channels, arrays, body);
}

template <int kCount, typename T>
__host__ __device__ const Lanes<T, kCount>* as_lanes(const T* array) {
  return reinterpret_cast<const Lanes<T, kCount>*>(array);
}

template <int kCount, typename T>
__host__ __device__ Lanes<T, kCount>* as_lanes(T* array) {
  return reinterpret_cast<Lanes<T, kCount>*>(array);
}

}  // namespace neurona
