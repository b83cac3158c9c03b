// Kernels and their launches, as the CUDA runtime has them, and what nvcc's own code in an object
// calls: first to register the kernels, later from the functions that stand for them.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "runtime/answer.h"
#include "runtime/device.h"
#include "runtime/functions.h"
#include "runtime/kernel_work.h"
#include "runtime/streams.h"

using namespace ptx_machine;

namespace {

// What <<<...>>> says, for the function of the host that is called next.
struct Configured {
  Shape shape;
  cudaStream_t stream;
};
thread_local std::optional<Configured> configured;

// Objects are registered before main() and while a library is loaded: nobody takes an error then.
void answer_or_abort(const char* call, const std::function<void()>& body) {
  if (answer_about_device(call, body) != cudaSuccess) std::abort();
}

FatBinary& binary_of(void** handle) {
  return **reinterpret_cast<std::shared_ptr<FatBinary>*>(handle);
}

void launch(const void* host_function, const Shape& shape, void** arguments, cudaStream_t stream) {
  const auto on = stream_of(stream);
  enqueue(on, KernelWork(host_function, shape, arguments));
}

// A kernel that may overlap with the one before begins here when that one has ended, which is
// allowed as well, but must wait as if it had not.
void take_attribute(const cudaLaunchAttribute& attribute, Shape& shape) {
  switch (attribute.id) {
    case cudaLaunchAttributeIgnore: return;
    case cudaLaunchAttributeProgrammaticStreamSerialization:
      shape.overlaps = attribute.val.programmaticStreamSerializationAllowed != 0;
      break;
    case cudaLaunchAttributeClusterDimension: {
      const auto& cluster = attribute.val.clusterDim;
      shape.cluster = dim3(cluster.x, cluster.y, cluster.z);
      break;
    }
    default:
      throw Refusal(cudaErrorNotSupported,
                    "launch attribute " + std::to_string(attribute.id) + " is not supported");
  }
  if (capability() < 90)
    throw Refusal(cudaErrorNotSupported,
                  "kernels overlap, and blocks make clusters, from compute capability 9.0 on");
}

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  auto* handle = new std::shared_ptr<FatBinary>;
  answer_or_abort("__cudaRegisterFatBinary",
                  [&] { *handle = std::make_shared<FatBinary>(ptx_texts(wrapper)); });
  return reinterpret_cast<void**>(handle);
}

void __cudaRegisterFatBinaryEnd(void**) {}  // every text stands for itself: nothing is to be linked

void __cudaUnregisterFatBinary(void** handle) {
  answer_or_abort("__cudaUnregisterFatBinary", [&] {
    forget_functions(binary_of(handle));
    delete reinterpret_cast<std::shared_ptr<FatBinary>*>(handle);
  });
}

char __cudaInitModule(void**) { return 1; }  // modules are parsed when they are needed

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int,
                            uint3*, uint3*, dim3*, dim3*, int*) {
  answer_or_abort("__cudaRegisterFunction", [&] {
    add_function(host_function,
                 Function(*reinterpret_cast<std::shared_ptr<FatBinary>*>(handle), name));
  });
}

void __cudaRegisterVar(void**, char*, char*, const char* name, int, size_t, int, int) {
  answer_or_abort("__cudaRegisterVar", [&] {
    throw Refusal(cudaErrorNotSupported,
                  std::string(name) + ": variables of the device are not supported");
  });
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic_shared,
                                     CUstream_st* stream) {
  configured = {{grid, block, dynamic_shared}, stream};
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* dynamic_shared,
                                       void* stream) {
  return answer("__cudaPopCallConfiguration", [&] {
    if (!configured) throw Refusal(cudaErrorInvalidConfiguration);
    *grid = configured->shape.grid;
    *block = configured->shape.block;
    *dynamic_shared = configured->shape.dynamic_shared;
    *static_cast<cudaStream_t*>(stream) = configured->stream;
    configured.reset();
  });
}

// The handle of a kernel is its function of the host.
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host_function) {
  return answer("__cudaGetKernel", [&] {
    function_of(host_function);
    *kernel = static_cast<cudaKernel_t>(const_cast<void*>(host_function));
  });
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               size_t dynamic_shared, cudaStream_t stream) {
  return answer("__cudaLaunchKernel",
                [&] { launch(kernel, {grid, block, dynamic_shared}, arguments, stream); });
}

cudaError_t cudaLaunchKernel(const void* host_function, dim3 grid, dim3 block, void** arguments,
                             size_t dynamic_shared, cudaStream_t stream) {
  return answer("cudaLaunchKernel",
                [&] { launch(host_function, {grid, block, dynamic_shared}, arguments, stream); });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* host_function,
                                void** arguments) {
  return answer("cudaLaunchKernelExC", [&] {
    require(config);
    Shape shape{config->gridDim, config->blockDim, config->dynamicSmemBytes};
    for (unsigned i = 0; i < config->numAttrs; ++i) take_attribute(config->attrs[i], shape);
    launch(host_function, shape, arguments, config->stream);
  });
}

cudaError_t cudaFuncSetAttribute(const void* host_function, cudaFuncAttribute attribute,
                                 int value) {
  return answer("cudaFuncSetAttribute", [&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
      throw Refusal(cudaErrorNotSupported,
                    "function attribute " + std::to_string(attribute) + " is not supported");
    function_of(host_function).allow_dynamic_shared(value);
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* host_function) {
  return answer("cudaFuncGetAttributes", [&] {
    require(attributes);
    *attributes = function_of(host_function).attributes();
  });
}

}  // extern "C"
