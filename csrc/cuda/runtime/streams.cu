#include "cuda/platform/streams.h"

#include <mutex>

#include "cuda/device.h"
#include "cuda/runtime/check.h"
#include "cuda/runtime/stream.h"

namespace neurona {
namespace {

constexpr const char* kWhat = "stream of the CUDA device";

cudaStream_t stream_of(int64_t number) {
  if (number == kDefaultStream) return cudaStreamLegacy;
  if (number == 2) return cudaStreamPerThread;
  return reinterpret_cast<cudaStream_t>(static_cast<uintptr_t>(number));
}

class Event {
 public:
  Event() { check_cuda(kWhat, cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  // The runtime keeps an event that a stream still waits for.
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

void order(cudaStream_t first, cudaStream_t then) {
  if (first == then) return;
  const Event event;
  check_cuda(kWhat, cudaEventRecord(event.get(), first));
  check_cuda(kWhat, cudaStreamWaitEvent(then, event.get(), 0));
}

}  // namespace

int64_t stream_number() {
  return static_cast<int64_t>(reinterpret_cast<uintptr_t>(compute_stream()));
}

void let_wait(int64_t stream) { order(compute_stream(), stream_of(stream)); }

void wait_for(int64_t stream) { order(stream_of(stream), compute_stream()); }

void wait_for_own_stream() noexcept {
  const AllowedInCapture allowed;
  cudaStreamSynchronize(process_stream());
}

void wait_for_all_streams() noexcept {
  const std::unique_lock alone(captures());
  cudaDeviceSynchronize();
}

}  // namespace neurona
