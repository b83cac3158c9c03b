#include "cuda/runtime/device.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "cuda/capability.h"
#include "cuda/device.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/stream.h"

namespace neurona {
namespace {

thread_local cudaStream_t capture_stream = nullptr;

__global__ void some_kernel() {}

// A GPU may run what was compiled for an older one, in which nobody waits.
bool are_for_overlap() {
  const char* wish = std::getenv("NEURONA_CUDA_OVERLAP");
  if (device_capability() < 90 || (wish && std::strcmp(wish, "0") == 0)) return false;
  cudaFuncAttributes attributes;
  check_cuda("kernels", cudaFuncGetAttributes(&attributes, some_kernel));
  return attributes.ptxVersion >= 90;
}

}  // namespace

void capture_on(cudaStream_t stream) { capture_stream = stream; }

// Never destroyed: arrays may be freed while the process ends.
std::shared_mutex& captures() {
  static auto* instance = new std::shared_mutex;
  return *instance;
}

bool kernels_overlap() {
  static const bool overlap = are_for_overlap();
  return overlap;
}

// The most that was ever asked for stays: another thread may be about to launch the kernel with it,
// or a graph may hold such a launch.
void allow_shared_memory(const char* name, const void* kernel, size_t bytes) {
  // What a kernel declares counts too: all of it may be over the 48 KiB that need no permission.
  constexpr size_t kLeast = 48 * 1024;
  static auto* mutex = new std::mutex;
  static auto* allowed = new std::unordered_map<const void*, size_t>;
  const std::lock_guard<std::mutex> lock(*mutex);
  size_t& most = (*allowed)[kernel];
  if (bytes <= most) return;
  const size_t wanted = bytes > kLeast ? bytes : kLeast;
  check_cuda(name, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        static_cast<int>(wanted)));
  most = wanted;
}

int device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();  // having no device is no error of the next call
  return status == cudaSuccess ? count : 0;
}

std::string device_problem() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return count == 0 ? "no device" : "";
}

std::string device_name() {
  cudaDeviceProp properties;
  check_cuda("no CUDA device can be used", cudaGetDeviceProperties(&properties, 0));
  return properties.name;
}

// One for the process, so that ops of all host threads run in the order of their launches. Never
// destroyed: arrays may be freed after the driver has gone.
cudaStream_t process_stream() {
  static const cudaStream_t stream = [] {
    cudaStream_t created;
    check_cuda("no CUDA device can be used",
               cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
    return created;
  }();
  return stream;
}

cudaStream_t compute_stream() { return capture_stream ? capture_stream : process_stream(); }

}  // namespace neurona
