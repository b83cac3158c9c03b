// The device's memory: a region of the host's, closed to everybody but kernels and copies.
#include "cuda/emulation/device_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

#include "cuda/platform/device_memory.h"
#include "cuda/emulation/engine.h"
#include "cuda/emulation/late_copies.h"
#include "cuda/emulation/poison.h"
#include "cuda/emulation/usage.h"
#include "cuda/graph.h"
#include "cuda/staging.h"

namespace neurona::emulation {
namespace {

constexpr size_t kRegionBytes = size_t{4} << 30;  // of addresses; pages come as they are used
constexpr size_t kAlignment = 256;                // of cudaMalloc
constexpr size_t kGap = 256;                      // behind every block, belonging to nobody
// By which the open part grows: huge pages, of which opening and closing costs a hundredth.
constexpr size_t kStep = size_t{2} << 20;

[[noreturn]] void stop(const char* what) {
  std::fprintf(stderr, "neurona, emulated device: %s\n", what);
  std::abort();
}

class Region {
 public:
  Region() {
    void* memory = mmap(nullptr, kRegionBytes + kStep, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    const auto address = reinterpret_cast<uintptr_t>(memory);
    base_ = reinterpret_cast<unsigned char*>((address + kStep - 1) / kStep * kStep);
    madvise(base_, kRegionBytes,
            MADV_HUGEPAGE);  // where there are none, it is only slower
  }

  void open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (users_++ == 0) open_to(blocks_.empty() ? 0 : end_of_last());
  }

  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--users_ > 0 || open_bytes_ == 0) return;
    protect(0, open_bytes_, PROT_NONE);
    open_bytes_ = 0;
  }

  // In the lowest place that is wide enough, so that the region stays small and its pages warm.
  // Called while the region is open.
  void* allocate(size_t bytes) {
    if (bytes > kRegionBytes / 2) throw std::bad_alloc();
    const size_t span = (bytes + kAlignment - 1) / kAlignment * kAlignment + kGap;
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t begin = 0;
    for (const auto& [offset, block] : blocks_) {
      if (offset - begin >= span) break;
      begin = offset + block.span;
    }
    if (kRegionBytes - begin < span) throw std::bad_alloc();
    blocks_[begin] = {bytes, span};
    open_to(end_of_last());
    unsigned char* memory = base_ + begin;
    allow(memory, bytes);
    std::memset(memory, kUnset, bytes);
    give_to_nobody(memory + bytes, span - bytes);
    return memory;
  }

  // Called while the region is open.
  void free(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto place = blocks_.find(offset_of(memory));
    if (place == blocks_.end()) stop("freed what was not allocated");
    std::memset(memory, kUnset, place->second.bytes);
    forbid(memory, place->second.span);
    blocks_.erase(place);
  }

  size_t bytes_in_use() {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t bytes = 0;
    for (const auto& [offset, block] : blocks_) bytes += block.bytes;
    return bytes;
  }

  bool contains(const void* memory) const { return offset_of(memory) < kRegionBytes; }

  // Whether so many bytes, or just a pointer, lie in one array. A pointer may stand at its end.
  bool is_allocated(const void* memory, size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t offset = offset_of(memory);
    auto place = blocks_.upper_bound(offset);
    if (place == blocks_.begin()) return false;
    --place;
    const size_t within = offset - place->first;
    return within <= place->second.bytes && bytes <= place->second.bytes - within;
  }

  // Whether all gaps are as they were; those that are not are made so. Called while the region is
  // open.
  bool restore_gaps() {
    const std::lock_guard<std::mutex> lock(mutex_);
    bool intact = true;
    for (const auto& [offset, block] : blocks_) {
      unsigned char* end = base_ + offset + block.bytes;
      if (untouched(end, block.span - block.bytes)) continue;
      intact = false;
      give_to_nobody(end, block.span - block.bytes);
    }
    return intact;
  }

 private:
  struct Block {
    size_t bytes, span;
  };

  size_t offset_of(const void* memory) const {
    return reinterpret_cast<uintptr_t>(memory) - reinterpret_cast<uintptr_t>(base_);
  }

  size_t end_of_last() const {
    const auto& [offset, block] = *blocks_.rbegin();
    return (offset + block.span + kStep - 1) / kStep * kStep;
  }

  void open_to(size_t end) {
    if (end <= open_bytes_) return;
    protect(open_bytes_, end, PROT_READ | PROT_WRITE);
    open_bytes_ = end;
    if (end <= ever_open_bytes_) return;
    forbid(base_ + ever_open_bytes_, end - ever_open_bytes_);
    ever_open_bytes_ = end;
  }

  void protect(size_t begin, size_t end, int access) {
    if (mprotect(base_ + begin, end - begin, access) != 0) stop("mprotect failed");
  }

  std::mutex mutex_;
  unsigned char* base_;
  size_t open_bytes_ = 0;  // from the base
  size_t ever_open_bytes_ = 0;
  int users_ = 0;                   // of the open region
  std::map<size_t, Block> blocks_;  // by offset
};

// Never destroyed: arrays may be freed while the process ends.
Region& region() {
  static auto* instance = new Region;
  return *instance;
}

void check_range(const char* copy, const void* memory, size_t bytes) {
  if (bytes > 0 && !region().is_allocated(memory, bytes))
    throw std::runtime_error(std::string(copy) + ": the bytes are not all in one device array");
}

void check_on_host(const char* copy, const void* memory) {
  if (region().contains(memory))
    throw std::runtime_error(std::string(copy) + ": the host's array lies on the device");
}

// Asks the operating system whether a page is there, without touching it.
bool is_mapped(uintptr_t address) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  return msync(reinterpret_cast<void*>(address / page * page), 1, MS_ASYNC) == 0;
}

}  // namespace

DeviceMemoryAccess::DeviceMemoryAccess() { region().open(); }
DeviceMemoryAccess::~DeviceMemoryAccess() { region().close(); }

void check_bytes(const char* kernel, const void* argument, size_t bytes) {
  // No number of a launch is the address of a mapped page but by a very rare chance: those of a
  // process begin at 2^45 and above. Below lie AddressSanitizer's shadows, where a float and a bool
  // beside it may seem to point.
  constexpr uintptr_t kLowest = uintptr_t{1} << 45, kHighest = uintptr_t{1} << 47;
  for (size_t i = 0; i + sizeof(uintptr_t) <= bytes; i += sizeof(uintptr_t)) {
    uintptr_t word;
    std::memcpy(&word, static_cast<const unsigned char*>(argument) + i, sizeof word);
    const auto* memory = reinterpret_cast<const void*>(word);
    const char* problem = nullptr;
    if (region().contains(memory)) {
      if (!region().is_allocated(memory, 0)) problem = "into no array of the device";
    } else if (kLowest <= word && word < kHighest && is_mapped(word)) {
      problem = "to the host's memory";
    }
    if (problem)
      throw std::runtime_error(std::string(kernel) + ": an argument holds a pointer " + problem);
  }
}

bool is_on_device(const void* memory, size_t bytes) { return region().is_allocated(memory, bytes); }

bool restore_gaps() { return region().restore_gaps(); }

size_t memory_in_use() { return region().bytes_in_use(); }

}  // namespace neurona::emulation

namespace neurona {

using emulation::DeviceMemoryAccess;

void* device_allocate(size_t bytes) {
  const DeviceMemoryAccess access;
  return emulation::region().allocate(bytes);
}

void device_free(void* memory) noexcept {
  emulation::finish_copies();
  const DeviceMemoryAccess access;
  emulation::region().free(memory);
}

bool lies_on_device(const void* memory, size_t bytes) {
  return emulation::region().is_allocated(memory, bytes);
}

void copy_to_device(void* to, const void* from, size_t bytes) {
  refuse_in_capture("copy_to_device");
  emulation::check_range("copy_to_device", to, bytes);
  emulation::check_on_host("copy_to_device", from);
  to_device_ring().send(to, from, bytes);
}

void copy_to_host(void* to, const void* from, size_t bytes) {
  refuse_in_capture("copy_to_host");
  emulation::check_range("copy_to_host", from, bytes);
  emulation::check_on_host("copy_to_host", to);
  to_host_ring().fetch(to, from, bytes);
  Graph::raise_late_errors();
}

void copy_on_device(void* to, const void* from, size_t bytes) {
  emulation::submit([=] {
    emulation::finish_copies();
    emulation::check_range("copy_on_device", from, bytes);
    emulation::check_range("copy_on_device", to, bytes);
    const DeviceMemoryAccess access;
    if (bytes) std::memcpy(to, from, bytes);
  });
}

void fill_on_device(void* to, unsigned char byte, size_t bytes) {
  emulation::submit([=] {
    emulation::finish_copies();
    emulation::check_range("fill_on_device", to, bytes);
    const DeviceMemoryAccess access;
    if (bytes) std::memset(to, byte, bytes);
  });
}

void synchronize() {
  refuse_in_capture("synchronize");
  emulation::finish_copies();
  Graph::raise_late_errors();
}

void* shared_allocate(size_t bytes) { return device_allocate(bytes); }
void shared_free(void* memory) noexcept { device_free(memory); }

void read_shared(void* to, const void* shared, size_t bytes) {
  const DeviceMemoryAccess access;
  std::memcpy(to, shared, bytes);
}

void write_shared(void* shared, const void* from, size_t bytes) {
  const DeviceMemoryAccess access;
  std::memcpy(shared, from, bytes);
}

}  // namespace neurona
