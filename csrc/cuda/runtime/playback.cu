// A step as a CUDA graph. It is captured on a stream of its own, so that what other threads enqueue
// meanwhile is no part of it, and launched on that of all work.
#include "cuda/platform/playback.h"

#include "cuda/device.h"
#include "cuda/runtime/captured_kernel.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/stream.h"

namespace neurona {
namespace {

constexpr const char* kWhat = "graph of the CUDA device";

class CaptureStream {
 public:
  CaptureStream() {
    check_cuda(kWhat, cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    capture_on(stream_);
  }
  ~CaptureStream() {
    capture_on(nullptr);
    cudaStreamDestroy(stream_);
  }
  CaptureStream(const CaptureStream&) = delete;
  CaptureStream& operator=(const CaptureStream&) = delete;

  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_;
};

// What `work` enqueues; the caller destroys it.
cudaGraph_t captured(const std::function<void()>& work) {
  const std::shared_lock together(captures());
  const CaptureStream stream;
  // Of this thread alone: another one may call cudaMalloc meanwhile.
  check_cuda(kWhat, cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    cudaStreamEndCapture(stream.get(), &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();  // it is no error of the next call
    throw;
  }
  check_cuda(kWhat, cudaStreamEndCapture(stream.get(), &graph));
  return graph;
}

// What was captured first, for which all the others wait.
cudaGraphNode_t first_node(cudaGraph_t graph) {
  cudaGraphNode_t first = nullptr;
  size_t count = 1;
  check_cuda(kWhat, cudaGraphGetRootNodes(graph, &first, &count));
  return first;
}

// Launches of this thread renew a kernel as long as this lives.
class Renewing {
 public:
  explicit Renewing(const CapturedKernel& kernel) { renew_instead_of_launching(&kernel); }
  ~Renewing() { renew_instead_of_launching(nullptr); }
  Renewing(const Renewing&) = delete;
  Renewing& operator=(const Renewing&) = delete;
};

}  // namespace

// The graph stays, because it is by its nodes that those of the executable are named.
struct Playback::State {
  cudaGraph_t graph = nullptr;
  CapturedKernel first{};

  ~State() {
    if (first.executable) cudaGraphExecDestroy(first.executable);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }
};

Playback::Playback(const std::function<void()>& work) : state_(std::make_unique<State>()) {
  state_->graph = captured(work);
  check_cuda(kWhat, cudaGraphInstantiate(&state_->first.executable, state_->graph, 0));
  state_->first.node = first_node(state_->graph);
}

// Its memory goes back to others, the host's to the system.
Playback::~Playback() { cudaStreamSynchronize(compute_stream()); }

void Playback::renew_first(const std::function<void()>& work) {
  const Renewing renewing(state_->first);
  work();
}

void Playback::launch() {
  check_cuda(kWhat, cudaGraphLaunch(state_->first.executable, compute_stream()));
}

}  // namespace neurona
