// Streams whose work becomes a graph instead of being done, and what nobody may do meanwhile.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "runtime/streams.h"

namespace ptx_machine {

struct Capture {
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool of_blocking_stream;
  bool is_invalid = false;
  std::vector<Work> work;
};

void begin_capture(Stream& stream, cudaStreamCaptureMode mode);

// What the stream has captured. Refusal if that is nothing, is no longer valid, or belongs to
// another thread.
std::vector<Work> end_capture(Stream& stream);

// For a stream that goes while it captures.
void discard_capture(Stream& stream);

// Adds to what the stream captures.
void capture_work(Stream& stream, Work work);

// Fail with `code`, and spoil what is being captured.
[[noreturn]] void spoil_capture(Capture& capture, cudaError_t code, const char* reason);

// For calls that CUDA names potentially unsafe: forbidden to a thread that captures, and to all
// while a capture of global mode lasts, unless the thread's own mode is more relaxed.
void refuse_unsafe_call();

// For calls that wait for the device: forbidden to all while any stream captures.
void refuse_while_capturing();

// For calls that wait for the stream.
void refuse_if_capturing(const std::shared_ptr<Stream>& stream);

// For what goes on the legacy stream: it would have to wait for a blocking stream that captures.
void refuse_implicit_wait();

// The mode of the calling thread.
cudaStreamCaptureMode& capture_mode();

}  // namespace ptx_machine
