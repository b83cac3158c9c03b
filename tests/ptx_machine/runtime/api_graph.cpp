// Captures and graphs, as the CUDA runtime has them. A graph is what one stream was told, in that
// order.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/answer.h"
#include "runtime/captures.h"
#include "runtime/kernel_work.h"
#include "runtime/streams.h"

using namespace ptx_machine;

namespace {

// By handles, which are never used again.
template <typename Handle, typename Value>
class Handles {
 public:
  explicit Handles(const char* what) : what_(what) {}

  Handle add(Value value) {
    const auto handle = reinterpret_cast<Handle>(++last_);
    values_.emplace(handle, std::move(value));
    return handle;
  }

  Value& get(Handle handle) {
    const auto found = values_.find(handle);
    if (found == values_.end())
      throw Refusal(cudaErrorInvalidValue, std::string("there is no such ") + what_);
    return found->second;
  }

  void remove(Handle handle) {
    get(handle);
    values_.erase(handle);
  }

 private:
  const char* what_;
  uintptr_t last_ = 0;
  std::map<Handle, Value> values_;
};

// Shared: a launch may still be waiting in a queue when its graph is destroyed, or changed.
using Line = std::shared_ptr<const std::vector<Work>>;

struct Graph {
  Line line;
  std::vector<cudaGraphNode_t> named;  // nodes that somebody has asked for
};
struct Executable {
  Line line;
  cudaGraph_t made_from;
};
struct Node {
  cudaGraph_t graph;
  size_t place;
};

auto& graphs() {
  static auto* instance = new Handles<cudaGraph_t, Graph>("graph");
  return *instance;
}

auto& executables() {
  static auto* instance = new Handles<cudaGraphExec_t, Executable>("executable graph");
  return *instance;
}

auto& nodes() {
  static auto* instance = new Handles<cudaGraphNode_t, Node>("node");
  return *instance;
}

// The launch of before, with other arguments and another shape; its attributes stay.
KernelWork renewed(const Work& before, const cudaKernelNodeParams& parameters) {
  const auto* launch = before.target<KernelWork>();
  if (!launch) throw Refusal(cudaErrorInvalidValue, "the node is no kernel");
  if (parameters.extra) throw Refusal(cudaErrorNotSupported, "only arguments by their addresses");
  Shape shape = launch->shape();
  shape.grid = parameters.gridDim;
  shape.block = parameters.blockDim;
  shape.dynamic_shared = parameters.sharedMemBytes;
  return KernelWork(parameters.func, shape, parameters.kernelParams);
}

}  // namespace

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  return answer("cudaStreamBeginCapture", [&] {
    const auto capturing = stream_of(stream);
    if (capturing == stream_of(cudaStreamLegacy))
      throw Refusal(cudaErrorStreamCaptureUnsupported, "the legacy stream cannot capture");
    begin_capture(*capturing, mode);
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  return answer("cudaStreamEndCapture", [&] {
    require(graph);
    *graph = nullptr;
    auto work = end_capture(*stream_of(stream));
    *graph = graphs().add({std::make_shared<const std::vector<Work>>(std::move(work)), {}});
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return answer("cudaThreadExchangeStreamCaptureMode", [&] {
    require(mode);
    std::swap(*mode, capture_mode());
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags) {
  return answer("cudaGraphInstantiate", [&] {
    require(executable);
    if (flags != 0) throw Refusal(cudaErrorNotSupported, "only graphs without flags are supported");
    *executable = executables().add({graphs().get(graph).line, graph});
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return answer("cudaGraphLaunch", [&] {
    enqueue(stream_of(stream), [line = executables().get(executable).line] {
      for (const Work& work : *line) work();
    });
  });
}

// A graph is a line, so it has one root, unless it is empty.
cudaError_t cudaGraphGetRootNodes(cudaGraph_t graph, cudaGraphNode_t* roots, size_t* count) {
  return answer("cudaGraphGetRootNodes", [&] {
    require(count);
    Graph& found = graphs().get(graph);
    const size_t most = std::exchange(*count, found.line->empty() ? 0 : 1);
    if (!roots) return;
    if (*count == 1 && most > 0) {
      if (found.named.empty()) found.named.push_back(nodes().add({graph, 0}));
      roots[0] = found.named[0];
    }
    *count = std::min(*count, most);
    std::fill(roots + *count, roots + most, nullptr);
  });
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t executable, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* parameters) {
  return answer("cudaGraphExecKernelNodeSetParams", [&] {
    require(parameters);
    Executable& changed = executables().get(executable);
    const auto [graph, place] = nodes().get(node);
    if (graph != changed.made_from)
      throw Refusal(cudaErrorInvalidValue, "the node is of another graph");
    auto line = std::make_shared<std::vector<Work>>(*changed.line);
    (*line)[place] = renewed((*line)[place], *parameters);
    changed.line = std::move(line);
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return answer("cudaGraphDestroy", [&] {
    for (cudaGraphNode_t node : graphs().get(graph).named) nodes().remove(node);
    graphs().remove(graph);
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return answer("cudaGraphExecDestroy", [&] { executables().remove(executable); });
}

}  // extern "C"
