// Memory of the device and copies to and from it. On the host emulation it is host memory that only
// kernels and these functions may touch.
#pragma once

#include <cstddef>

namespace neurona {

// Aligned to 256 bytes; contents undefined. std::bad_alloc when there is no more. Freed memory is
// kept for the next of its size; what was enqueued before may still use it.
void* device_allocate(size_t bytes);
void device_free(void* memory) noexcept;

// Whether a kernel can reach all of the bytes, ours or those of another library.
bool lies_on_device(const void* memory, size_t bytes);

// In order with the kernels. Reading back waits for them; the others may return before they are
// done, `from` of to_device being free for other use then.
void copy_to_device(void* to, const void* from, size_t bytes);
void copy_to_host(void* to, const void* from, size_t bytes);
void copy_on_device(void* to, const void* from, size_t bytes);
void fill_on_device(void* to, unsigned char byte, size_t bytes);

// Waits for all that was enqueued; std::runtime_error when a kernel failed. Whoever waits, here or
// for a copy, is also told what a captured step noted (cuda/graph.h).
void synchronize();

// Memory of the host that kernels write to and read, slowly; for a few numbers. The host may look
// at it at any time, and knows that it has all when it has waited.
void* shared_allocate(size_t bytes);
void shared_free(void* memory) noexcept;
void read_shared(void* to, const void* shared, size_t bytes);
void write_shared(void* shared, const void* from, size_t bytes);

// From the device, or while a step is captured from its graph; null for no bytes.
void* workspace_allocate(size_t bytes);
void workspace_free(void* memory) noexcept;

// Memory for the length of an op.
class Workspace {
 public:
  explicit Workspace(size_t bytes) : memory_(workspace_allocate(bytes)) {}
  ~Workspace() { workspace_free(memory_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  template <typename T>
  T* as() const {
    return static_cast<T*>(memory_);
  }

 private:
  void* memory_;
};

template <typename T>
T read_shared(const T* shared) {
  T value;
  read_shared(&value, shared, sizeof value);
  return value;
}

template <typename T>
void write_shared(T* shared, const T& value) {
  write_shared(shared, &value, sizeof value);
}

// A value that a kernel left on the device; waits for it.
template <typename T>
T read_back(const T* memory) {
  T value;
  copy_to_host(&value, memory, sizeof value);
  return value;
}

}  // namespace neurona
