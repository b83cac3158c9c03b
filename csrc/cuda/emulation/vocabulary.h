// CUDA's names for a host compiler: what the kernels of csrc/cuda use of the language, and no more.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cuda/emulation/async_copies.h"
#include "cuda/emulation/device_memory.h"
#include "cuda/emulation/engine.h"
#include "cuda/emulation/place.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__

using dim3 = neurona::emulation::Extent3;

#define threadIdx (::neurona::emulation::position().thread)
#define blockIdx (::neurona::emulation::position().block)
#define blockDim (::neurona::emulation::position().block_extent)
#define gridDim (::neurona::emulation::position().grid_extent)

// -- Shared memory ------------------------------------------------------------------------------

// NEURONA_SHARED(float, tile, [16][17]) declares __shared__ float tile[16][17].
#define NEURONA_SHARED(type, name, extents)       \
  static const char name##_declaration = 0;       \
  typedef type name##_type extents;               \
  name##_type& name = *static_cast<name##_type*>( \
      ::neurona::emulation::shared_memory(&name##_declaration, sizeof(name##_type)))

// NEURONA_DYNAMIC_SHARED(float, buffer) declares extern __shared__ float buffer[].
#define NEURONA_DYNAMIC_SHARED(type, name) \
  type* name = static_cast<type*>(::neurona::emulation::dynamic_shared_memory())

// -- Barriers and warps -------------------------------------------------------------------------

#define NEURONA_SITE(what) (::neurona::emulation::Site{what, __FILE__, __LINE__})
#define __syncthreads() ::neurona::emulation::barrier(NEURONA_SITE("__syncthreads"))
#define __syncwarp()                                                               \
  ::neurona::emulation::exchange(NEURONA_SITE("__syncwarp"), 0xffffffffu, nullptr, \
                                 [](uint32_t, void* const*) {})
#define __shfl_sync(mask, value, lane) \
  ::neurona::emulation::shuffle(NEURONA_SITE("__shfl_sync"), mask, value, lane)
#define __shfl_xor_sync(mask, value, bits)                                    \
  ::neurona::emulation::shuffle(NEURONA_SITE("__shfl_xor_sync"), mask, value, \
                                ::neurona::emulation::lane() ^ static_cast<int>(bits))
#define __shfl_down_sync(mask, value, distance)                                \
  ::neurona::emulation::shuffle(NEURONA_SITE("__shfl_down_sync"), mask, value, \
                                ::neurona::emulation::lane_below(distance))
#define __ballot_sync(mask, predicate) \
  ::neurona::emulation::ballot(NEURONA_SITE("__ballot_sync"), mask, predicate)
#define __any_sync(mask, predicate) (__ballot_sync(mask, predicate) != 0)

namespace neurona::emulation {

inline int lane() {
  const Position& here = position();
  const Extent3& block = here.block_extent;
  const unsigned row = here.thread.y + block.y * here.thread.z;
  return static_cast<int>((here.thread.x + block.x * row) % kWarp);
}

// A lane beyond the warp's end gets its own value back.
inline int lane_below(unsigned distance) {
  const int wanted = lane() + static_cast<int>(distance);
  return wanted < kWarp ? wanted : lane();
}

// Calls function(lane) for the lanes of the mask.
template <typename Function>
void for_lanes(uint32_t mask, const Function& function) {
  for (; mask; mask &= mask - 1) function(std::countr_zero(mask));
}

template <typename T>
T shuffle(const Site& site, uint32_t mask, T value, int from) {
  struct Offer {
    T value, received;
    int from;
  };
  Offer own{value, value, from & (kWarp - 1)};
  if (!(mask >> own.from & 1)) fail(site, "a lane reads one that is not in the mask");
  exchange(site, mask, &own, [](uint32_t lanes, void* const* offers) {
    for_lanes(lanes, [&](int lane) {
      auto* offer = static_cast<Offer*>(offers[lane]);
      offer->received = static_cast<const Offer*>(offers[offer->from])->value;
    });
  });
  return own.received;
}

inline uint32_t ballot(const Site& site, uint32_t mask, bool predicate) {
  struct Offer {
    bool predicate;
    uint32_t bits;
  };
  Offer own{predicate, 0};
  exchange(site, mask, &own, [](uint32_t lanes, void* const* offers) {
    uint32_t bits = 0;
    for_lanes(lanes, [&](int lane) {
      bits |= uint32_t{static_cast<const Offer*>(offers[lane])->predicate} << lane;
    });
    for_lanes(lanes, [&](int lane) { static_cast<Offer*>(offers[lane])->bits = bits; });
  });
  return own.bits;
}

}  // namespace neurona::emulation

// -- Atomics on integers (floats are never summed by atomics: the order would be open) ----------

template <typename T>
T atomicMin(T* address, T value) {
  static_assert(std::is_integral_v<T>);
  const T old = *address;
  if (value < old) *address = value;
  return old;
}

template <typename T>
T atomicMax(T* address, T value) {
  static_assert(std::is_integral_v<T>);
  const T old = *address;
  if (old < value) *address = value;
  return old;
}

// Counts up to `most`, and then from 0 again.
inline unsigned atomicInc(unsigned* address, unsigned most) {
  const unsigned old = *address;
  *address = old >= most ? 0 : old + 1;
  return old;
}

inline void __threadfence_system() {}

// -- Vectors --------------------------------------------------------------------------------------

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// -- Arithmetic -----------------------------------------------------------------------------------

// Loads and stores of the device's memory alone: they are ld.global and st.global, which know no
// address in shared memory.
template <typename T>
T __ldg(const T* address, neurona::emulation::Place place = neurona::emulation::Place::current()) {
  neurona::emulation::check_not_shared(neurona::emulation::site_of("__ldg", place), address);
  return *address;
}
template <typename T>
T __ldcg(const T* address, neurona::emulation::Place place = neurona::emulation::Place::current()) {
  neurona::emulation::check_not_shared(neurona::emulation::site_of("__ldcg", place), address);
  return *address;
}
template <typename T>
void __stwb(T* address, T value,
            neurona::emulation::Place place = neurona::emulation::Place::current()) {
  neurona::emulation::check_not_shared(neurona::emulation::site_of("__stwb", place), address);
  *address = value;
}

using std::isfinite;
using std::isinf;
using std::isnan;

template <typename T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <typename T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline void sincospif(float x, float* sine, float* cosine) {
  *sine = static_cast<float>(std::sin(3.141592653589793 * x));
  *cosine = static_cast<float>(std::cos(3.141592653589793 * x));
}
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(uint64_t{a} * b >> 32);
}
inline int __popc(unsigned bits) { return std::popcount(bits); }
inline int __clz(int bits) { return std::countl_zero(static_cast<unsigned>(bits)); }
inline int __ffs(int bits) { return bits ? std::countr_zero(static_cast<unsigned>(bits)) + 1 : 0; }
