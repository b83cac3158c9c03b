// The memory of the emulated device: who may touch it, and what is checked around a launch.
#pragma once

#include <cstddef>
#include <type_traits>

namespace neurona::emulation {

// While one of these lives, device memory can be read and written; otherwise an access ends the
// process, as it would with the memory of a GPU.
class DeviceMemoryAccess {
 public:
  DeviceMemoryAccess();
  ~DeviceMemoryAccess();
};

// Whether so many bytes lie in one array of the device.
bool is_on_device(const void* memory, size_t bytes);

// std::runtime_error when an argument of a kernel is, or holds, a pointer that a GPU could not
// follow: to freed memory or to the host's.
void check_bytes(const char* kernel, const void* argument, size_t bytes);

template <typename T>
void check_argument(const char* kernel, T argument) {
  static_assert(std::is_trivially_copyable_v<T>, "kernels take plain values");
#if __has_builtin(__builtin_clear_padding)
  // What lies between the members may be anything, such as half of an old pointer.
  __builtin_clear_padding(&argument);
  check_bytes(kernel, &argument, sizeof argument);
#else
  if constexpr (std::is_pointer_v<T>) check_bytes(kernel, &argument, sizeof argument);
#endif
}

// False when the last kernel wrote behind the end of an array; the next one starts without a stain.
bool restore_gaps();

}  // namespace neurona::emulation
