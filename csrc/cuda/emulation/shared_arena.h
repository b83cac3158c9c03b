// The shared memory of a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/emulation/capability.h"
#include "cuda/emulation/engine.h"
#include "cuda/emulation/poison.h"

namespace neurona::emulation {

// One array for each declaration in the kernel, and one of the size given at the launch. Blocks of
// a cluster must find each other's arrays where their own are, so they declare together. Arrays are
// NaN when a block begins. The bytes around them belong to nobody: AddressSanitizer reports an
// access to them, and a write is found at the end of the block in any build.
class SharedArena {
 public:
  void begin_block(size_t dynamic_bytes);
  // False when a byte that belongs to no array was written.
  bool end_block() const;

  // The same memory for every thread of the block; null when nobody has declared it.
  void* of_declaration(const void* declaration) const;
  // False when no more fits.
  bool declare(const void* declaration, size_t bytes);
  void* dynamic() { return dynamic_; }

  // Whether the bytes lie in one array.
  bool holds(const void* memory, size_t bytes) const;

  // Addresses as instructions see them: from the beginning of shared memory.
  uint32_t address(const void* memory) const {
    return static_cast<uint32_t>(static_cast<const unsigned char*>(memory) - memory_);
  }
  unsigned char* at(size_t address) { return address < kBytes ? memory_ + address : nullptr; }

 private:
  // A gap lies before the first array and behind each, and ends at a multiple of kAlignment. Most
  // of what goes too far ends up behind the last one.
  static constexpr size_t kAlignment = 128, kGap = 128, kLastGap = kMostNobody;
  static constexpr size_t kMostArrays = 64;
  static constexpr size_t kBytes =
      kGap + kMostSharedBytesEver + (kMostArrays + 1) * (kGap + kAlignment) + kLastGap;

  struct Array {
    const void* declaration;
    unsigned char* memory;
  };

  static size_t next_place(size_t end);
  unsigned char* take(size_t bytes);

  // To 1024 bytes, as the hardware's: what depends on the bits of addresses up to there (swizzled
  // tiles) sees the same. Arrays are aligned to kAlignment alone.
  alignas(1024) unsigned char memory_[kBytes];
  size_t used_ = kBytes - kLastGap;  // so that the first block clears all
  std::vector<size_t> gaps_;         // where each begins
  std::vector<Array> declared_;
  unsigned char* dynamic_ = nullptr;
  size_t dynamic_bytes_ = 0, declared_bytes_ = 0;
};

}  // namespace neurona::emulation
