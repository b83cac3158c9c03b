#include "cuda/runtime/device.h"

#include <cstdlib>
#include <cstring>

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

int device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();  // having no device is no error of the next call
  return status == cudaSuccess ? count : 0;
}

std::string device_name() {
  cudaDeviceProp properties;
  check_cuda("no CUDA device can be used", cudaGetDeviceProperties(&properties, 0));
  return properties.name;
}

// One for the process, so that ops of all host threads run in the order of their launches. Never
// destroyed: arrays may be freed after the driver has gone.
cudaStream_t compute_stream() {
  if (capture_stream) return capture_stream;
  static const cudaStream_t stream = [] {
    cudaStream_t created;
    check_cuda("no CUDA device can be used",
               cudaStreamCreateWithFlags(&created, cudaStreamNonBlocking));
    return created;
  }();
  return stream;
}

}  // namespace neurona
