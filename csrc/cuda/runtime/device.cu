#include "cuda/runtime/device.h"

#include <mutex>

#include "cuda/device.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/stream.h"

namespace neurona {
namespace {

thread_local cudaStream_t capture_stream = nullptr;

}  // namespace

void capture_on(cudaStream_t stream) { capture_stream = stream; }

// Never destroyed: arrays may be freed while the process ends.
std::shared_mutex& captures() {
  static auto* instance = new std::shared_mutex;
  return *instance;
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
