#include "cuda/platform/pinned_buffer.h"

#include <new>

#include "cuda/device.h"
#include "cuda/runtime/check.h"

namespace neurona {
namespace {

constexpr const char* kWhat = "pinned memory for the CUDA device";
constexpr size_t kSmallest = 4096;

cudaEvent_t event_of(uintptr_t number) { return reinterpret_cast<cudaEvent_t>(number); }

uintptr_t new_event() {
  cudaEvent_t event = nullptr;
  check_cuda(kWhat, cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return reinterpret_cast<uintptr_t>(event);
}

}  // namespace

PinnedBuffer::~PinnedBuffer() {
  if (last_copy_) cudaEventDestroy(event_of(last_copy_));
  cudaFreeHost(memory_);
}

// An event that was never recorded is done.
void PinnedBuffer::wait() {
  if (last_copy_) check_cuda("work on the CUDA device", cudaEventSynchronize(event_of(last_copy_)));
}

unsigned char* PinnedBuffer::reserve(size_t bytes) {
  compute_stream();  // the first call says that there is no device, if so
  if (!last_copy_) last_copy_ = new_event();
  if (bytes <= capacity_) return memory_;
  size_t capacity = kSmallest;
  while (capacity < bytes) capacity *= 2;
  cudaFreeHost(memory_);
  memory_ = nullptr;
  capacity_ = 0;
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, capacity);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // it is no error of the next call
    throw std::bad_alloc();
  }
  check_cuda(kWhat, status);
  memory_ = static_cast<unsigned char*>(memory);
  capacity_ = capacity;
  return memory_;
}

void PinnedBuffer::send(void* to, size_t bytes) {
  check_cuda("copy to the CUDA device",
             cudaMemcpyAsync(to, memory_, bytes, cudaMemcpyHostToDevice, compute_stream()));
  check_cuda(kWhat, cudaEventRecord(event_of(last_copy_), compute_stream()));
}

void PinnedBuffer::fetch(const void* from, size_t bytes) {
  check_cuda("copy from the CUDA device",
             cudaMemcpyAsync(memory_, from, bytes, cudaMemcpyDeviceToHost, compute_stream()));
  check_cuda(kWhat, cudaEventRecord(event_of(last_copy_), compute_stream()));
}

}  // namespace neurona
