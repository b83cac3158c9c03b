#include "core/arena.h"

#include <pthread.h>
#include <sys/mman.h>
#if defined(NEURONA_BYPASS_ARENA)
#include <malloc.h>
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

namespace neurona {
namespace {

// A block is [header, 64 bytes][payload, 64-byte aligned][slack, 64 bytes].
constexpr size_t kHeader = 64, kSlack = 64;
#if defined(NEURONA_BYPASS_ARENA)
// A sanitizer sees an access beyond the slack, but not a store into it, which may only be read: the
// slack is filled with this and must still hold it when the block is freed. As floats it is NaN, so
// that a result that depends on the slack shows too.
constexpr char kSlackByte = '\xff';
#endif
constexpr size_t kHugePage = size_t{2} << 20;
// From this size on a block comes from mmap with 2 MiB pages; below, the C heap is fine.
constexpr size_t kMapFrom = size_t{1} << 20;
// Freed memory beyond this goes back to the system: four times the activations of a ResNet-18 step
// on 32x32 images.
constexpr size_t kCacheLimit = size_t{2} << 30;
constexpr int kClasses = 4 * 48;

struct Header {
  size_t capacity;  // payload bytes
  void* base;       // what to give back
  size_t mapped;    // bytes of the mapping, 0 for the C heap
  int size_class;
};
static_assert(sizeof(Header) <= kHeader, "the header must fit in front of an aligned payload");

// Four classes per octave, from 64 bytes: at most 25 % of a block is unused.
int class_of(size_t bytes) {
  if (bytes <= 64) return 0;
  const int octave = std::bit_width(bytes - 1) - 1;  // 2^octave < bytes <= 2^(octave + 1)
  const size_t quarter = size_t{1} << (octave - 2);
  return 4 * (octave - 6) + static_cast<int>((bytes - 1 - (size_t{1} << octave)) / quarter) + 1;
}

size_t class_size(int size_class) {
  if (size_class == 0) return 64;
  const int octave = (size_class - 1) / 4 + 6;
  return (size_t{1} << octave) + ((size_class - 1) % 4 + 1) * (size_t{1} << (octave - 2));
}

struct Arena {
  std::mutex mutex;
  std::array<std::vector<Header*>, kClasses> free;
  size_t in_use = 0, cached = 0;
};

// Never destroyed: arrays that Python still holds at exit are freed after static destructors have
// run.
Arena& arena() {
  static Arena* instance = new Arena;
  return *instance;
}

// A child forked while another thread allocates must not inherit a locked mutex.
const bool fork_handler_installed =
    pthread_atfork([] { arena().mutex.lock(); }, [] { arena().mutex.unlock(); },
                   [] { arena().mutex.unlock(); }) == 0;

Header* header_of(void* payload) {
  return reinterpret_cast<Header*>(static_cast<char*>(payload) - kHeader);
}

Header* new_block(size_t capacity, int size_class) {
  const size_t total = kHeader + capacity + kSlack;
  if (total >= kMapFrom) {
    // Over-allocate by one huge page to align the start, then trim.
    const size_t length = (total + kHugePage - 1) / kHugePage * kHugePage;
    void* raw = mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) throw std::bad_alloc();
    char* start = static_cast<char*>(raw);
    char* aligned = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(start) + kHugePage - 1) /
                                            kHugePage * kHugePage);
    if (aligned > start) munmap(start, aligned - start);
    if (char* end = start + length + kHugePage; aligned + length < end)
      munmap(aligned + length, end - (aligned + length));
#if defined(MADV_HUGEPAGE)
    madvise(aligned, length, MADV_HUGEPAGE);
#endif
    return new (aligned) Header{capacity, aligned, length, size_class};
  }
  void* raw = std::aligned_alloc(64, (total + 63) / 64 * 64);
  if (!raw) throw std::bad_alloc();
  return new (raw) Header{capacity, raw, 0, size_class};
}

void release(Header* block) {
  if (block->mapped) {
    munmap(block->base, block->mapped);
  } else {
    std::free(block->base);
  }
}

}  // namespace

void* arena_allocate(size_t bytes) {
  if (bytes > (size_t{1} << 46)) throw std::bad_alloc();
#if defined(NEURONA_BYPASS_ARENA)
  void* raw = nullptr;
  if (posix_memalign(&raw, 64, bytes + kSlack) != 0) throw std::bad_alloc();
  std::memset(static_cast<char*>(raw) + bytes, kSlackByte, malloc_usable_size(raw) - bytes);
  return raw;
#else
  const int size_class = class_of(bytes);
  Arena& a = arena();
  {
    std::lock_guard lock(a.mutex);
    auto& list = a.free[size_class];
    if (!list.empty()) {
      Header* block = list.back();
      list.pop_back();
      a.cached -= block->capacity;
      a.in_use += block->capacity;
      return reinterpret_cast<char*>(block) + kHeader;
    }
  }
  Header* block = new_block(class_size(size_class), size_class);
  std::lock_guard lock(a.mutex);
  a.in_use += block->capacity;
  return reinterpret_cast<char*>(block) + kHeader;
#endif
}

void arena_free(void* payload) noexcept {
  if (!payload) return;
#if defined(NEURONA_BYPASS_ARENA)
  const char* end = static_cast<char*>(payload) + malloc_usable_size(payload);
  if (!std::all_of(end - kSlack, end, [](char byte) { return byte == kSlackByte; })) {
    std::fputs("neurona: a kernel wrote behind the end of its array\n", stderr);
    std::abort();
  }
  std::free(payload);
#else
  Header* block = header_of(payload);
  Arena& a = arena();
  {
    std::lock_guard lock(a.mutex);
    a.in_use -= block->capacity;
    if (a.cached + block->capacity <= kCacheLimit) {
      try {
        a.free[block->size_class].push_back(block);
        a.cached += block->capacity;
        return;
      } catch (const std::bad_alloc&) {
        // No room to remember the block: give it back below.
      }
    }
  }
  release(block);
#endif
}

void arena_empty_cache() {
  Arena& a = arena();
  std::lock_guard lock(a.mutex);
  for (auto& list : a.free) {
    for (Header* block : list) release(block);
    list.clear();
  }
  a.cached = 0;
}

ArenaStatistics arena_statistics() {
  Arena& a = arena();
  std::lock_guard lock(a.mutex);
  return {static_cast<int64_t>(a.in_use), static_cast<int64_t>(a.cached)};
}

}  // namespace neurona
