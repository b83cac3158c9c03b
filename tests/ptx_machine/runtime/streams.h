// Streams are queues, and work is late: it is done only when somebody waits for it. So whoever does
// not wait for what he needs finds it missing, every time.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>

namespace ptx_machine {

using Work = std::function<void()>;

struct Capture;

struct Stream {
  bool blocks = false;  // it and the legacy stream wait for one another
  std::deque<Work> queue;
  std::shared_ptr<Capture> capture;  // null unless it captures
};

// A place in a stream's order, for others to wait for.
struct Mark {
  std::shared_ptr<Stream> stream;
  std::shared_ptr<Capture> capture;  // of which it is a part; then nobody can wait for it
  bool reached = false;
  std::chrono::steady_clock::time_point when;
};

// Refusal for what is no stream.
std::shared_ptr<Stream> stream_of(cudaStream_t handle);

cudaStream_t new_stream(bool blocks);

// Its work is done nevertheless, by whoever waits for the device.
void forget_stream(cudaStream_t handle);

// Behind all that the stream, and for a blocking one the legacy stream, has been told. Into the
// graph if it captures.
void enqueue(const std::shared_ptr<Stream>& stream, Work work);

std::shared_ptr<Mark> mark_end(const std::shared_ptr<Stream>& stream);
void enqueue_wait(const std::shared_ptr<Stream>& stream, std::shared_ptr<Mark> mark);

// Do the work up to there, and what it waits for in other streams.
void run_to(const Mark& mark);
void run_all(Stream& stream);
void run_device();

// After a fault.
void drop_all_work() noexcept;

}  // namespace ptx_machine
