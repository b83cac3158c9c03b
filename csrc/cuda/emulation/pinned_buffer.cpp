#include "cuda/platform/pinned_buffer.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "cuda/platform/device_memory.h"
#include "cuda/emulation/late_copies.h"
#include "cuda/emulation/poison.h"

namespace neurona {

PinnedBuffer::~PinnedBuffer() {
  if (emulation::is_being_copied(memory_, capacity_)) {
    std::fputs("neurona, emulated device: freed pinned memory that is being copied\n", stderr);
    std::abort();
  }
  delete[] memory_;
}

void PinnedBuffer::wait() { emulation::finish_copies(last_copy_); }

// Exactly as many: AddressSanitizer sees what is read beyond them.
unsigned char* PinnedBuffer::reserve(size_t bytes) {
  if (bytes <= capacity_) return memory_;
  if (emulation::is_being_copied(memory_, capacity_))
    throw std::runtime_error("pinned buffer: freed while it is being copied");
  delete[] memory_;
  memory_ = nullptr;
  capacity_ = 0;
  memory_ = new unsigned char[bytes];
  capacity_ = bytes;
  std::memset(memory_, emulation::kUnset, bytes);
  return memory_;
}

void PinnedBuffer::send(void* to, size_t bytes) {
  last_copy_ = emulation::copy_late(to, memory_, bytes);
}

void PinnedBuffer::fetch(const void* from, size_t bytes) {
  last_copy_ = emulation::copy_late(memory_, from, bytes);
}

}  // namespace neurona
