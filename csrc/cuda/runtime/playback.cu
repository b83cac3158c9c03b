// A step as a CUDA graph. It is captured on a stream of its own, so that what other threads enqueue
// meanwhile is no part of it, and launched on that of all work.
#include "cuda/playback.h"

#include "cuda/device.h"
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

}  // namespace

struct Playback::State {
  cudaGraphExec_t executable = nullptr;
};

Playback::Playback(const std::function<void()>& work) : state_(std::make_unique<State>()) {
  cudaGraph_t graph = captured(work);
  const cudaError_t status = cudaGraphInstantiate(&state_->executable, graph, 0);
  cudaGraphDestroy(graph);
  check_cuda(kWhat, status);
}

Playback::~Playback() {
  // Its memory goes back to others, the host's to the system.
  cudaStreamSynchronize(compute_stream());
  cudaGraphExecDestroy(state_->executable);
  cudaGetLastError();
}

void Playback::launch() {
  check_cuda(kWhat, cudaGraphLaunch(state_->executable, compute_stream()));
}

}  // namespace neurona
