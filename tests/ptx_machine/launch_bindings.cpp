#include "launch_bindings.h"

#include <cuda_runtime_api.h>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device.h"
#include "runtime/functions.h"

namespace ptx_machine {
namespace {

namespace py = pybind11;

using Extents = std::array<unsigned, 3>;
using Attributes = std::vector<std::pair<std::string, Extents>>;

void require_success(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorName(status));
}

// A kernel that the runtime knows as if an object of the program had brought it.
class Registered {
 public:
  Registered(const std::string& ptx, const std::string& name)
      : binary_(std::make_shared<FatBinary>(std::vector<PtxText>{{ptx, capability(), false}})) {
    add_function(this, Function(binary_, name));
  }
  ~Registered() { forget_functions(*binary_); }
  Registered(const Registered&) = delete;
  Registered& operator=(const Registered&) = delete;

  const void* host_function() const { return this; }

 private:
  std::shared_ptr<FatBinary> binary_;
};

cudaLaunchAttribute attribute_of(const std::string& kind, const Extents& value) {
  cudaLaunchAttribute attribute{};
  if (kind == "cluster") {
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {value[0], value[1], value[2]};
  } else if (kind == "overlap") {
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = static_cast<int>(value[0]);
  } else {
    throw std::runtime_error("no such attribute: " + kind);
  }
  return attribute;
}

dim3 dimensions(const Extents& extents) { return dim3(extents[0], extents[1], extents[2]); }

void launch_directly(const cudaLaunchConfig_t& config, const void* function, void** arguments) {
  require_success(cudaLaunchKernelExC(&config, function, arguments));
}

// The capture ends whatever becomes of the launch, so that it spoils nothing that follows.
cudaGraph_t captured(const cudaLaunchConfig_t& config, const void* function, void** arguments) {
  require_success(cudaStreamBeginCapture(config.stream, cudaStreamCaptureModeGlobal));
  const cudaError_t launched = cudaLaunchKernelExC(&config, function, arguments);
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(config.stream, &graph);
  require_success(launched);
  require_success(ended);
  return graph;
}

void launch_once(cudaGraphExec_t executable, cudaStream_t stream) {
  require_success(cudaGraphLaunch(executable, stream));
  require_success(cudaGraphExecDestroy(executable));
}

void launch_as_graph(const cudaLaunchConfig_t& config, const void* function, void** arguments) {
  const cudaGraph_t graph = captured(config, function, arguments);
  cudaGraphExec_t executable = nullptr;
  require_success(cudaGraphInstantiate(&executable, graph, 0));
  require_success(cudaGraphDestroy(graph));
  launch_once(executable, config.stream);
}

cudaGraphNode_t root_of(cudaGraph_t graph) {
  cudaGraphNode_t root = nullptr;
  size_t count = 1;
  require_success(cudaGraphGetRootNodes(graph, &root, &count));
  return root;
}

// Captured with a null pointer and one cluster, and given the rest afterwards: by the node of its
// own graph, of a second one or, once that is destroyed, of none.
void launch_renewed(const std::string& by, const cudaLaunchConfig_t& config, const void* function,
                    void** arguments) {
  void* nothing = nullptr;
  void* wrong[] = {&nothing};
  cudaLaunchConfig_t small = config;
  small.gridDim = dim3(2);
  const cudaGraph_t graph = captured(small, function, wrong),
                    other = captured(small, function, wrong);
  cudaGraphExec_t executable = nullptr;
  require_success(cudaGraphInstantiate(&executable, graph, 0));
  const cudaGraphNode_t node = root_of(by == "other" ? other : graph);
  if (by == "gone") require_success(cudaGraphDestroy(graph));
  cudaKernelNodeParams parameters{};
  parameters.func = const_cast<void*>(function);
  parameters.gridDim = config.gridDim;
  parameters.blockDim = config.blockDim;
  parameters.kernelParams = arguments;
  require_success(cudaGraphExecKernelNodeSetParams(executable, node, &parameters));
  launch_once(executable, config.stream);
}

void launch_as(const std::string& how, const cudaLaunchConfig_t& config, const void* function,
               void** arguments) {
  if (how == "directly") return launch_directly(config, function, arguments);
  if (how == "captured") return launch_as_graph(config, function, arguments);
  launch_renewed(how, config, function, arguments);
}

void launch(const std::string& ptx, const std::string& name, py::array_t<uint32_t> result,
            const Extents& grid, const Extents& block, const Attributes& attributes,
            const std::string& how) {
  const Registered kernel(ptx, name);
  const auto bytes = static_cast<size_t>(result.nbytes());
  void* memory = nullptr;
  require_success(cudaMalloc(&memory, bytes));
  const std::unique_ptr<void, cudaError_t (*)(void*)> owner(memory, cudaFree);
  cudaStream_t stream = nullptr;
  require_success(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const std::unique_ptr<CUstream_st, cudaError_t (*)(cudaStream_t)> stream_owner(stream,
                                                                                 cudaStreamDestroy);

  std::vector<cudaLaunchAttribute> list;
  for (const auto& [kind, value] : attributes) list.push_back(attribute_of(kind, value));
  cudaLaunchConfig_t config{};
  config.gridDim = dimensions(grid);
  config.blockDim = dimensions(block);
  config.stream = stream;
  config.attrs = list.data();
  config.numAttrs = static_cast<unsigned>(list.size());
  void* arguments[] = {&memory};
  launch_as(how, config, kernel.host_function(), arguments);
  require_success(
      cudaMemcpyAsync(result.mutable_data(), memory, bytes, cudaMemcpyDeviceToHost, stream));
  require_success(cudaStreamSynchronize(stream));
}

}  // namespace

void bind_launches(py::module_& m) {
  m.def("launch", &launch, py::arg("ptx"), py::arg("name"), py::arg("result").noconvert(),
        py::arg("grid"), py::arg("block"), py::arg("attributes"), py::arg("how") = "directly",
        "Launch a kernel by the runtime's calls: directly, captured, or captured with other "
        "arguments that are renewed by the node of its own, of another or of a gone graph. Its "
        "argument points to an array that is the result's afterwards; RuntimeError with the name "
        "of the runtime's error.");
}

}  // namespace ptx_machine
