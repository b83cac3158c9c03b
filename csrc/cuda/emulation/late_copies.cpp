#include "cuda/emulation/late_copies.h"

#include <cstring>
#include <deque>
#include <mutex>

#include "cuda/emulation/device_memory.h"

namespace neurona::emulation {
namespace {

struct Copy {
  uintptr_t number;
  unsigned char* to;
  const unsigned char* from;
  size_t bytes;
};

struct Copies {
  std::mutex mutex;
  std::deque<Copy> waiting;
  uintptr_t told = 0;
};

// Never destroyed: arrays may be freed while the process ends.
Copies& copies() {
  static auto* instance = new Copies;
  return *instance;
}

}  // namespace

uintptr_t copy_late(void* to, const void* from, size_t bytes) {
  const std::lock_guard<std::mutex> lock(copies().mutex);
  copies().waiting.push_back({++copies().told, static_cast<unsigned char*>(to),
                              static_cast<const unsigned char*>(from), bytes});
  return copies().told;
}

void finish_copies(uintptr_t last) {
  const std::lock_guard<std::mutex> lock(copies().mutex);
  auto& waiting = copies().waiting;
  if (waiting.empty() || waiting.front().number > last) return;
  const DeviceMemoryAccess access;
  for (; !waiting.empty() && waiting.front().number <= last; waiting.pop_front())
    std::memcpy(waiting.front().to, waiting.front().from, waiting.front().bytes);
}

void finish_copies() { finish_copies(UINTPTR_MAX); }

bool is_being_copied(const void* memory, size_t bytes) {
  const auto* begin = static_cast<const unsigned char*>(memory);
  const std::lock_guard<std::mutex> lock(copies().mutex);
  for (const Copy& copy : copies().waiting)
    for (const unsigned char* end : {static_cast<const unsigned char*>(copy.to), copy.from})
      if (end < begin + bytes && begin < end + copy.bytes) return true;
  return false;
}

}  // namespace neurona::emulation
