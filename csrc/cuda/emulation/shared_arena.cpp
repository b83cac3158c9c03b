#include "cuda/emulation/shared_arena.h"

#include <algorithm>
#include <cstring>

namespace neurona::emulation {

// Where the array behind one that ends at `end` begins.
size_t SharedArena::next_place(size_t end) {
  return (end + kGap + kAlignment - 1) / kAlignment * kAlignment;
}

void SharedArena::begin_block(size_t dynamic_bytes) {
  const size_t end = used_ + kLastGap;
  for (size_t begin = 0; begin < end; begin += kMostNobody)
    give_to_nobody(memory_ + begin, std::min(kMostNobody, end - begin));
  declared_.clear();
  declared_bytes_ = 0;
  dynamic_bytes_ = dynamic_bytes;
  gaps_.assign(1, 0);
  used_ = 0;
  dynamic_ = take(dynamic_bytes);
}

unsigned char* SharedArena::take(size_t bytes) {
  const size_t begin = next_place(used_);
  allow(memory_ + begin, bytes);
  std::memset(memory_ + begin, kUnset, bytes);
  used_ = begin + bytes;
  gaps_.push_back(used_);
  return memory_ + begin;
}

void* SharedArena::of_declaration(const void* declaration) const {
  for (const Array& array : declared_)
    if (array.declaration == declaration) return array.memory;
  return nullptr;
}

bool SharedArena::declare(const void* declaration, size_t bytes) {
  declared_bytes_ += bytes;
  if (declared_.size() == kMostArrays || declared_bytes_ > kMostStaticSharedBytes ||
      declared_bytes_ + dynamic_bytes_ > most_shared_bytes())
    return false;
  declared_.push_back({declaration, take(bytes)});
  return true;
}

// Arrays lie between the end of a gap and the beginning of the next one. Not by address(), which
// has 32 bits: memory far away may end in the same.
bool SharedArena::holds(const void* memory, size_t bytes) const {
  const size_t begin = reinterpret_cast<uintptr_t>(memory) - reinterpret_cast<uintptr_t>(memory_);
  const size_t end = begin + bytes;
  for (size_t i = 0; i + 1 < gaps_.size(); ++i)
    if (next_place(gaps_[i]) <= begin && begin < end && end <= gaps_[i + 1]) return true;
  return false;
}

bool SharedArena::end_block() const {
  for (size_t i = 0; i + 1 < gaps_.size(); ++i)
    if (!untouched(memory_ + gaps_[i], next_place(gaps_[i]) - gaps_[i])) return false;
  return untouched(memory_ + used_, kLastGap);
}

}  // namespace neurona::emulation
