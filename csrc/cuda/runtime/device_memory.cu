// Memory of a GPU. cudaMalloc and cudaFree wait for the device, so blocks that are freed are kept
// for the next of their size: all work is on one stream, so whoever gets the block next comes after
// whoever had it.
#include "cuda/platform/device_memory.h"

#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "cuda/device.h"
#include "cuda/graph.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/stream.h"
#include "cuda/staging.h"

namespace neurona {
namespace {

// Sizes are rounded up to four steps for each power of two: at most a quarter is wasted, and arrays
// of nearly the same size share blocks.
size_t size_class(size_t bytes) {
  constexpr size_t kSmallest = 512;
  size_t step = kSmallest / 4;
  while (8 * step < bytes) step *= 2;
  return divide_up(bytes > kSmallest ? bytes : kSmallest, step) * step;
}

class Pool {
 public:
  void* allocate(size_t bytes) {
    const size_t size = size_class(bytes);
    const std::lock_guard<std::mutex> lock(mutex_);
    void* memory = take_free(size);
    if (!memory) memory = allocate_new(size);
    sizes_[memory] = size;
    return memory;
  }

  void free(void* memory) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_[sizes_.at(memory)].push_back(memory);
    sizes_.erase(memory);
  }

 private:
  void* take_free(size_t size) {
    const auto blocks = free_.find(size);
    if (blocks == free_.end() || blocks->second.empty()) return nullptr;
    void* memory = blocks->second.back();
    blocks->second.pop_back();
    return memory;
  }

  void* allocate_new(size_t size) {
    compute_stream();  // the first call says that there is no device, if so
    // It comes to that rarely in a capture. A step has been repeated as calls right before it, so
    // the pool has what it needs, unless another thread takes it in between.
    const AllowedInCapture allowed;
    void* memory = nullptr;
    cudaError_t status = cudaMalloc(&memory, size);
    // Not during a capture: cudaFree would wait for the device.
    if (status == cudaErrorMemoryAllocation && !Graph::capturing()) {
      cudaGetLastError();  // it is no error of the next call
      return_free();
      status = cudaMalloc(&memory, size);
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw std::bad_alloc();
    }
    check_cuda("CUDA memory", status);
    return memory;
  }

  // Gives the device all blocks that are free; cudaFree waits for the work that may still use them.
  void return_free() {
    for (auto& [size, blocks] : free_) {
      for (void* memory : blocks) check_cuda("CUDA memory", cudaFree(memory));
      blocks.clear();
    }
  }

  std::mutex mutex_;
  std::unordered_map<void*, size_t> sizes_;  // of the blocks in use
  std::map<size_t, std::vector<void*>> free_;
};

// Never destroyed: arrays may be freed while the process ends.
Pool& pool() {
  static auto* instance = new Pool;
  return *instance;
}

// As a GPU sees the page that the byte is on.
bool is_on_device(const void* byte) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, byte) != cudaSuccess) {
    cudaGetLastError();  // it is no error of the next call
    return false;
  }
  int device = 0;
  check_cuda("CUDA memory", cudaGetDevice(&device));
  return attributes.type == cudaMemoryTypeManaged ||
         (attributes.type == cudaMemoryTypeDevice && attributes.device == device);
}

}  // namespace

void* device_allocate(size_t bytes) { return pool().allocate(bytes); }

void device_free(void* memory) noexcept { pool().free(memory); }

bool lies_on_device(const void* memory, size_t bytes) {
  compute_stream();  // says that there is no device, if so
  const auto* first = static_cast<const unsigned char*>(memory);
  return is_on_device(first) && is_on_device(first + (bytes ? bytes - 1 : 0));
}

void copy_to_device(void* to, const void* from, size_t bytes) {
  refuse_in_capture("copy to the CUDA device");
  to_device_ring().send(to, from, bytes);
}

void copy_to_host(void* to, const void* from, size_t bytes) {
  refuse_in_capture("copy from the CUDA device");
  to_host_ring().fetch(to, from, bytes);
  Graph::raise_late_errors();
}

void copy_on_device(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check_cuda("copy on the CUDA device",
             cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, compute_stream()));
}

void fill_on_device(void* to, unsigned char byte, size_t bytes) {
  if (bytes == 0) return;
  check_cuda("fill on the CUDA device", cudaMemsetAsync(to, byte, bytes, compute_stream()));
}

void synchronize() {
  refuse_in_capture("waiting for the CUDA device");
  check_cuda("work on the CUDA device", cudaStreamSynchronize(compute_stream()));
  Graph::raise_late_errors();
}

// Pages of the host that the device has in its own address space: under the same address, as every
// 64-bit system with unified addresses has it.
void* shared_allocate(size_t bytes) {
  compute_stream();
  void* memory = nullptr;
  check_cuda("shared memory", cudaHostAlloc(&memory, bytes, cudaHostAllocMapped));
  return memory;
}

void shared_free(void* memory) noexcept {
  cudaFreeHost(memory);
  cudaGetLastError();
}

void read_shared(void* to, const void* shared, size_t bytes) {
  const auto* from = static_cast<const volatile unsigned long long*>(shared);
  for (size_t i = 0; i < bytes / sizeof *from; ++i) {
    const unsigned long long word = from[i];
    std::memcpy(static_cast<unsigned char*>(to) + i * sizeof word, &word, sizeof word);
  }
}

void write_shared(void* shared, const void* from, size_t bytes) {
  std::memcpy(shared, from, bytes);
}

}  // namespace neurona
