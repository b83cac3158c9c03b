// Captures and graphs, as the CUDA runtime has them. A graph is what one stream was told, in that
// order.
#include <cuda_runtime_api.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/answer.h"
#include "runtime/captures.h"
#include "runtime/streams.h"

using namespace ptx_machine;

namespace {

// Shared: a launch may still be waiting in a queue when its graph is destroyed.
using Graph = std::shared_ptr<const std::vector<Work>>;

// By handles, which are never used again.
template <typename Handle>
class Graphs {
 public:
  Handle add(Graph graph) {
    const auto handle = reinterpret_cast<Handle>(++last_);
    graphs_[handle] = std::move(graph);
    return handle;
  }

  const Graph& get(Handle handle) const {
    const auto found = graphs_.find(handle);
    if (found == graphs_.end()) throw Refusal(cudaErrorInvalidValue, "there is no such graph");
    return found->second;
  }

  void remove(Handle handle) {
    get(handle);
    graphs_.erase(handle);
  }

 private:
  uintptr_t last_ = 0;
  std::map<Handle, Graph> graphs_;
};

Graphs<cudaGraph_t>& graphs() {
  static auto* instance = new Graphs<cudaGraph_t>;
  return *instance;
}

Graphs<cudaGraphExec_t>& executables() {
  static auto* instance = new Graphs<cudaGraphExec_t>;
  return *instance;
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
    *graph = graphs().add(std::make_shared<const std::vector<Work>>(std::move(work)));
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
    *executable = executables().add(graphs().get(graph));
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return answer("cudaGraphLaunch", [&] {
    enqueue(stream_of(stream), [graph = executables().get(executable)] {
      for (const Work& work : *graph) work();
    });
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return answer("cudaGraphDestroy", [&] { graphs().remove(graph); });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return answer("cudaGraphExecDestroy", [&] { executables().remove(executable); });
}

}  // extern "C"
