// The one device, as the CUDA runtime describes it, and the functions of its driver.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>

#include "runtime/answer.h"
#include "runtime/device.h"
#include "runtime/memory.h"
#include "runtime/tensor_map.h"

using namespace ptx_machine;

namespace {

void require_first(int device) {
  if (device != 0) throw Refusal(cudaErrorInvalidDevice);
}

int attribute_of_device(cudaDeviceAttr attribute) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: return capability() / 10;
    case cudaDevAttrComputeCapabilityMinor: return capability() % 10;
    case cudaDevAttrMultiProcessorCount: return multiprocessors();
    case cudaDevAttrWarpSize: return 32;
    case cudaDevAttrMaxThreadsPerBlock: return static_cast<int>(kMostThreads);
    case cudaDevAttrMaxSharedMemoryPerBlock: return static_cast<int>(kSharedWithoutAsking);
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return static_cast<int>(most_shared());
    default:
      throw Refusal(cudaErrorNotSupported,
                    "device attribute " + std::to_string(attribute) + " is not supported");
  }
}

struct DriverFunction {
  const char* name;
  void* pointer;
};

void* driver_function(const std::string& name) {
  static const DriverFunction known[] = {
      {"cuTensorMapEncodeTiled", reinterpret_cast<void*>(&encode_tiled)},
      {"cuTensorMapEncodeIm2col", reinterpret_cast<void*>(&encode_im2col)}};
  for (const DriverFunction& function : known)
    if (name == function.name) return function.pointer;
  return nullptr;
}

constexpr unsigned kFirstVersionWithTensorMaps = 12000;

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return answer_about_device("cudaGetDeviceCount", [&] {
    require(count);
    *count = 1;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return answer_about_device("cudaGetDevice", [&] {
    require(device);
    *device = 0;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return answer_about_device("cudaDeviceGetAttribute", [&] {
    require(value);
    require_first(device);
    *value = attribute_of_device(attribute);
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return answer_about_device("cudaGetDeviceProperties", [&] {
    require(properties);
    require_first(device);
    *properties = {};
    std::strcpy(properties->name, kDeviceName);
    properties->totalGlobalMem = device_memory_bytes();
    properties->sharedMemPerBlock = kSharedWithoutAsking;
    properties->sharedMemPerBlockOptin = most_shared();
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = static_cast<int>(kMostThreads);
    properties->major = capability() / 10;
    properties->minor = capability() % 10;
    properties->multiProcessorCount = multiprocessors();
    properties->canMapHostMemory = properties->unifiedAddressing = 1;
  });
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** pointer, unsigned version,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  return answer("cudaGetDriverEntryPointByVersion", [&] {
    require(name);
    require(pointer);
    void* const found = driver_function(name);
    const bool is_known_then = version >= kFirstVersionWithTensorMaps;
    *pointer = is_known_then ? found : nullptr;
    if (!result) return;
    *result = !found           ? cudaDriverEntryPointSymbolNotFound
              : !is_known_then ? cudaDriverEntryPointVersionNotSufficent
                               : cudaDriverEntryPointSuccess;
  });
}

}  // extern "C"
