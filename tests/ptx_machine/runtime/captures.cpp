#include "runtime/captures.h"

#include <algorithm>
#include <utility>

#include "runtime/answer.h"

namespace ptx_machine {
namespace {

using Captures = std::vector<std::shared_ptr<Capture>>;

Captures& active() {
  static auto* instance = new Captures;
  return *instance;
}

template <typename Condition>
void refuse_for(cudaError_t code, const char* reason, Condition is_concerned) {
  bool any = false;
  for (const auto& capture : active())
    if (is_concerned(*capture)) capture->is_invalid = any = true;
  if (any) throw Refusal(code, reason);
}

bool is_of_this_thread(const Capture& capture) {
  return capture.thread == std::this_thread::get_id();
}

}  // namespace

void begin_capture(Stream& stream, cudaStreamCaptureMode mode) {
  if (stream.capture) throw Refusal(cudaErrorIllegalState, "the stream captures already");
  stream.capture = std::make_shared<Capture>();
  stream.capture->mode = mode;
  stream.capture->thread = std::this_thread::get_id();
  stream.capture->of_blocking_stream = stream.blocks;
  active().push_back(stream.capture);
}

std::vector<Work> end_capture(Stream& stream) {
  if (!stream.capture) throw Refusal(cudaErrorIllegalState, "the stream captures nothing");
  if (stream.capture->mode != cudaStreamCaptureModeRelaxed && !is_of_this_thread(*stream.capture))
    throw Refusal(cudaErrorStreamCaptureWrongThread);
  const std::shared_ptr<Capture> capture = stream.capture;
  discard_capture(stream);
  if (capture->is_invalid) throw Refusal(cudaErrorStreamCaptureInvalidated);
  return std::move(capture->work);
}

void discard_capture(Stream& stream) {
  std::erase(active(), std::exchange(stream.capture, nullptr));
}

void capture_work(Stream& stream, Work work) {
  if (stream.capture->is_invalid) throw Refusal(cudaErrorStreamCaptureInvalidated);
  stream.capture->work.push_back(std::move(work));
}

void spoil_capture(Capture& capture, cudaError_t code, const char* reason) {
  capture.is_invalid = true;
  throw Refusal(code, reason);
}

void refuse_unsafe_call() {
  const cudaStreamCaptureMode mode = capture_mode();
  if (mode == cudaStreamCaptureModeRelaxed) return;
  refuse_for(cudaErrorStreamCaptureUnsupported, "may be unsafe while a stream captures",
             [&](const Capture& capture) {
               const bool is_mine = is_of_this_thread(capture);
               if (is_mine) return capture.mode != cudaStreamCaptureModeRelaxed;
               return mode == cudaStreamCaptureModeGlobal &&
                      capture.mode == cudaStreamCaptureModeGlobal;
             });
}

void refuse_while_capturing() {
  refuse_for(cudaErrorStreamCaptureUnsupported, "waits for a stream that captures",
             [](const Capture&) { return true; });
}

void refuse_if_capturing(const std::shared_ptr<Stream>& stream) {
  refuse_unsafe_call();
  if (stream->capture)
    spoil_capture(*stream->capture, cudaErrorStreamCaptureUnsupported,
                  "waits for a stream that captures");
  if (stream == stream_of(cudaStreamLegacy)) refuse_implicit_wait();
}

void refuse_implicit_wait() {
  refuse_for(cudaErrorStreamCaptureImplicit, "the legacy stream would wait for one that captures",
             [](const Capture& capture) { return capture.of_blocking_stream; });
}

cudaStreamCaptureMode& capture_mode() {
  thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  return mode;
}

}  // namespace ptx_machine
