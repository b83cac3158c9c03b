#include "cuda/platform/capability.h"

#include "cuda/device.h"
#include "cuda/runtime/check.h"

namespace neurona {
namespace {

int attribute(cudaDeviceAttr which) {
  compute_stream();  // the first call says that there is no device, if so
  int device = 0, value = 0;
  check_cuda("no CUDA device can be used", cudaGetDevice(&device));
  check_cuda("no CUDA device can be used", cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace

int device_capability() {
  static const int capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                                attribute(cudaDevAttrComputeCapabilityMinor);
  return capability;
}

int multiprocessors() {
  static const int count = attribute(cudaDevAttrMultiProcessorCount);
  return count;
}

}  // namespace neurona
