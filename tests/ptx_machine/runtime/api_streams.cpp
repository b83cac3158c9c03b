// Streams and events, as the CUDA runtime has them.
#include <cuda_runtime_api.h>

#include <map>
#include <memory>

#include "runtime/answer.h"
#include "runtime/captures.h"
#include "runtime/memory.h"
#include "runtime/streams.h"

using namespace ptx_machine;

namespace {

struct Event {
  bool is_timed;
  std::shared_ptr<Mark> mark;  // null until it is recorded: then it counts as done
};

std::map<cudaEvent_t, std::unique_ptr<Event>>& events() {
  static auto* instance = new std::map<cudaEvent_t, std::unique_ptr<Event>>;
  return *instance;
}

Event& event_of(cudaEvent_t handle) {
  const auto found = events().find(handle);
  if (found == events().end())
    throw Refusal(cudaErrorInvalidResourceHandle, "there is no such event");
  return *found->second;
}

void create_event(cudaEvent_t* created, unsigned flags) {
  require(created);
  constexpr unsigned kKnown = cudaEventBlockingSync | cudaEventDisableTiming;
  if (flags & ~kKnown)
    throw Refusal(cudaErrorNotSupported, "only events of one process are supported");
  auto event = std::make_unique<Event>(Event{!(flags & cudaEventDisableTiming), nullptr});
  *created = reinterpret_cast<cudaEvent_t>(event.get());
  events()[*created] = std::move(event);
}

const Mark& timed_mark(cudaEvent_t handle) {
  const Event& event = event_of(handle);
  if (!event.is_timed || !event.mark)
    throw Refusal(cudaErrorInvalidResourceHandle, "an event without a time");
  if (event.mark->capture) throw Refusal(cudaErrorCapturedEvent);
  if (!event.mark->reached) throw Refusal(cudaErrorNotReady);
  return *event.mark;
}

// What a wait for the device shows beside errors of kernels.
void check_memory() {
  try {
    memory().check_red_zones();
  } catch (const std::runtime_error& written) {
    throw Fault(written.what());
  }
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return answer("cudaStreamCreateWithFlags", [&] {
    require(stream);
    if (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) throw Refusal(cudaErrorInvalidValue);
    *stream = new_stream(!(flags & cudaStreamNonBlocking));
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return answer("cudaStreamDestroy", [&] {
    const auto doomed = stream_of(stream);
    forget_stream(stream);
    if (doomed->capture) discard_capture(*doomed);
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return answer("cudaStreamSynchronize", [&] {
    const auto waited_for = stream_of(stream);
    refuse_if_capturing(waited_for);
    run_all(*waited_for);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  return answer("cudaStreamWaitEvent", [&] {
    if (flags != cudaEventWaitDefault)
      throw Refusal(cudaErrorNotSupported, "only waits without flags are supported");
    const auto waiting = stream_of(stream);
    if (const auto& mark = event_of(event).mark) enqueue_wait(waiting, mark);
  });
}

cudaError_t cudaDeviceSynchronize() {
  return answer("cudaDeviceSynchronize", [] {
    refuse_while_capturing();
    run_device();
    check_memory();
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return answer("cudaEventCreate", [&] { create_event(event, cudaEventDefault); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return answer("cudaEventCreateWithFlags", [&] { create_event(event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return answer("cudaEventDestroy", [&] {
    event_of(event);
    events().erase(event);
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return answer("cudaEventRecord", [&] {
    Event& recorded = event_of(event);
    recorded.mark = mark_end(stream_of(stream));
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return answer("cudaEventSynchronize", [&] {
    const auto mark = event_of(event).mark;
    if (mark && mark->capture)
      spoil_capture(*mark->capture, cudaErrorCapturedEvent, "waits for what is only captured");
    refuse_unsafe_call();
    if (mark) run_to(*mark);
  });
}

// By the host's clock: how long the machine took.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return answer("cudaEventElapsedTime", [&] {
    require(milliseconds);
    const auto first = timed_mark(begin).when, last = timed_mark(end).when;
    *milliseconds = std::chrono::duration<float, std::milli>(last - first).count();
  });
}

}  // extern "C"
