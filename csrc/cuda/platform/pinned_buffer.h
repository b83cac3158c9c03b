// Memory of the host that the device reads and writes by itself, without anybody waiting.
#pragma once

#include <cstddef>
#include <cstdint>

namespace neurona {

// Not for several threads at once. Holds nothing until it is first reserved.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  ~PinnedBuffer();
  PinnedBuffer(const PinnedBuffer&) = delete;
  PinnedBuffer& operator=(const PinnedBuffer&) = delete;

  // Until the last copy from it or to it is done; std::runtime_error when work before it failed.
  void wait();

  // At least `bytes` bytes, of undefined contents; std::bad_alloc when there are no more. Nobody
  // may still be copying.
  unsigned char* reserve(size_t bytes);

  // In order with the kernels: the first bytes to the device, or from there.
  void send(void* to, size_t bytes);
  void fetch(const void* from, size_t bytes);

  const unsigned char* data() const { return memory_; }

 private:
  unsigned char* memory_ = nullptr;
  size_t capacity_ = 0;
  uintptr_t last_copy_ = 0;  // a cudaEvent_t, or the copy's number in the emulation
};

}  // namespace neurona
