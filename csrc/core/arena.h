// The caching allocator behind tensors and workspaces: 64-byte aligned blocks, reused last-in
// first-out (hot pages and lines first), large ones on 2 MiB pages. Nothing is ever zeroed here.
// Each block has 64 readable bytes of slack behind it, so that a full vector load at its end stays
// inside.
#pragma once

#include <cstddef>
#include <cstdint>

namespace neurona {

void* arena_allocate(size_t bytes);  // throws std::bad_alloc
void arena_free(void* block) noexcept;
void arena_empty_cache();  // gives cached blocks back to the system

struct ArenaStatistics {
  int64_t in_use, cached;  // bytes
};
ArenaStatistics arena_statistics();

// A workspace that lives as long as its scope.
template <typename T>
class Scratch {
 public:
  explicit Scratch(int64_t count)
      : data_(static_cast<T*>(arena_allocate(sizeof(T) * static_cast<size_t>(count)))) {}
  ~Scratch() { arena_free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }
  T& operator[](int64_t i) const { return data_[i]; }

 private:
  T* data_;
};

}  // namespace neurona
