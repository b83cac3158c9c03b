// Memory that belongs to nobody: AddressSanitizer reports whoever touches it. In other builds it
// holds a pattern, so that a write is found later and a read is NaN to a float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace neurona::emulation {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kReportsAtOnce = true;
#else
constexpr bool kReportsAtOnce = false;
#endif

// What memory holds before anything is written to it: NaN to a float.
constexpr unsigned char kUnset = 0xff;

// The longest stretch of the functions below.
constexpr size_t kMostNobody = 4096;

// The pattern as it lies at an address: four bytes that are NaN, and unlike kUnset.
inline const unsigned char* pattern_at(const void* memory) {
  struct Pattern {
    unsigned char bytes[kMostNobody + 4];
    Pattern() {
      for (size_t i = 0; i < sizeof bytes; ++i) bytes[i] = i % 4 == 3 ? 0xff : 0xa5;
    }
  };
  static const Pattern pattern;
  return pattern.bytes + reinterpret_cast<uintptr_t>(memory) % 4;
}

inline void allow([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(memory, bytes);
#endif
}

inline void forbid([[maybe_unused]] const void* memory, [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(memory, bytes);
#endif
}

inline void give_to_nobody(void* memory, size_t bytes) {
  allow(memory, bytes);
  std::memcpy(memory, pattern_at(memory), bytes);
  forbid(memory, bytes);
}

// Whether nobody wrote there since.
inline bool untouched(const void* memory, size_t bytes) {
  return kReportsAtOnce || std::memcmp(memory, pattern_at(memory), bytes) == 0;
}

}  // namespace neurona::emulation
