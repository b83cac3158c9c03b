// How a kernel goes to the stream of this thread, or into a step that was captured before.
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "cuda/platform/capability.h"
#include "cuda/device.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/captured_kernel.h"

namespace neurona {
namespace {

thread_local const CapturedKernel* renewed = nullptr;

__global__ void some_kernel() {}

// A GPU may run what was compiled for an older one, in which nobody waits.
bool are_for_overlap() {
  const char* wish = std::getenv("NEURONA_CUDA_OVERLAP");
  if (device_capability() < 90 || (wish && std::strcmp(wish, "0") == 0)) return false;
  cudaFuncAttributes attributes;
  check_cuda("kernels", cudaFuncGetAttributes(&attributes, some_kernel));
  return attributes.ptxVersion >= 90;
}

// Whether kernels may overlap: on a GPU of compute capability 9.0 or higher, with kernels that were
// compiled for one, unless the environment says NEURONA_CUDA_OVERLAP=0.
bool kernels_overlap() {
  static const bool overlap = are_for_overlap();
  return overlap;
}

// Lets launches of a kernel ask for as much dynamic shared memory, or for less.
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

void launch_kernel(const char* name, const void* kernel, const Launch& shape, void** arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = compute_stream();
  cudaLaunchAttribute attributes[2] = {};
  config.attrs = attributes;
  if (shape.overlaps && kernels_overlap()) {
    cudaLaunchAttribute& overlap = attributes[config.numAttrs++];
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster_blocks > 1) {
    cudaLaunchAttribute& cluster = attributes[config.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {shape.cluster_blocks, 1, 1};
  }
  check_cuda(name, cudaLaunchKernelExC(&config, kernel, arguments));
}

// Whether it overlaps and how large its clusters are stays as it was captured.
void renew_kernel(const char* name, const void* kernel, const Launch& shape, void** arguments) {
  cudaKernelNodeParams parameters{};
  parameters.func = const_cast<void*>(kernel);
  parameters.gridDim = shape.blocks;
  parameters.blockDim = shape.threads;
  parameters.sharedMemBytes = static_cast<unsigned>(shape.shared_bytes);
  parameters.kernelParams = arguments;
  check_cuda(name,
             cudaGraphExecKernelNodeSetParams(renewed->executable, renewed->node, &parameters));
}

}  // namespace

void enqueue_kernel(const char* name, const void* kernel, const Launch& shape, void** arguments) {
  if (shape.shared_bytes > 0) allow_shared_memory(name, kernel, shape.shared_bytes);
  (renewed ? renew_kernel : launch_kernel)(name, kernel, shape, arguments);
}

void renew_instead_of_launching(const CapturedKernel* kernel) { renewed = kernel; }

}  // namespace neurona
