#include "runtime/streams.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "runtime/answer.h"
#include "runtime/captures.h"

namespace ptx_machine {
namespace {

// So that the arguments and bytes that wait in a queue do not fill the host's memory.
constexpr size_t kLongestQueue = 10000;

using Streams = std::vector<std::shared_ptr<Stream>>;

// Those that somebody may name, beside the legacy stream and those of threads.
Streams& created() {
  static auto* instance = new Streams;
  return *instance;
}

// All that may have work, in the order of their making.
Streams& all() {
  static auto* instance = new Streams;
  return *instance;
}

std::shared_ptr<Stream> add_stream(bool blocks) {
  auto stream = std::make_shared<Stream>();
  stream->blocks = blocks;
  all().push_back(stream);
  return stream;
}

const std::shared_ptr<Stream>& legacy_stream() {
  static const auto* instance = new std::shared_ptr<Stream>(add_stream(false));
  return *instance;
}

const std::shared_ptr<Stream>& stream_of_thread() {
  thread_local const std::shared_ptr<Stream> stream = add_stream(true);
  return stream;
}

Streams::iterator find_created(cudaStream_t handle) {
  auto& streams = created();
  const auto found = std::find_if(streams.begin(), streams.end(), [&](const auto& stream) {
    return reinterpret_cast<cudaStream_t>(stream.get()) == handle;
  });
  if (found == streams.end())
    throw Refusal(cudaErrorInvalidResourceHandle, "there is no such stream");
  return found;
}

void push(Stream& stream, Work work) { stream.queue.push_back(std::move(work)); }

void push_wait(Stream& stream, std::shared_ptr<Mark> mark) {
  push(stream, [mark = std::move(mark)] { run_to(*mark); });
}

std::shared_ptr<Mark> push_mark(const std::shared_ptr<Stream>& stream) {
  auto mark = std::make_shared<Mark>();
  mark->stream = stream;
  push(*stream, [mark] {
    mark->reached = true;
    mark->when = std::chrono::steady_clock::now();
  });
  return mark;
}

// What the stream waits for although nobody said so: the legacy stream for every blocking one, and
// they for it.
void push_implicit_waits(const std::shared_ptr<Stream>& stream) {
  if (stream == legacy_stream()) {
    refuse_implicit_wait();
    for (const auto& other : all())
      if (other->blocks && !other->queue.empty()) push_wait(*stream, push_mark(other));
  } else if (stream->blocks && !legacy_stream()->queue.empty()) {
    push_wait(*stream, push_mark(legacy_stream()));
  }
}

void run_next(Stream& stream) {
  const Work work = std::move(stream.queue.front());
  stream.queue.pop_front();
  work();
}

}  // namespace

std::shared_ptr<Stream> stream_of(cudaStream_t handle) {
  if (!handle || handle == cudaStreamLegacy) return legacy_stream();
  if (handle == cudaStreamPerThread) return stream_of_thread();
  return *find_created(handle);
}

cudaStream_t new_stream(bool blocks) {
  created().push_back(add_stream(blocks));
  return reinterpret_cast<cudaStream_t>(created().back().get());
}

void forget_stream(cudaStream_t handle) { created().erase(find_created(handle)); }

void enqueue(const std::shared_ptr<Stream>& stream, Work work) {
  if (stream->capture) return capture_work(*stream, std::move(work));
  push_implicit_waits(stream);
  push(*stream, std::move(work));
  if (stream->queue.size() > kLongestQueue) run_all(*stream);
}

std::shared_ptr<Mark> mark_end(const std::shared_ptr<Stream>& stream) {
  if (stream->capture) {
    auto mark = std::make_shared<Mark>();
    mark->capture = stream->capture;
    return mark;
  }
  push_implicit_waits(stream);
  return push_mark(stream);
}

void enqueue_wait(const std::shared_ptr<Stream>& stream, std::shared_ptr<Mark> mark) {
  if (mark->capture && mark->capture == stream->capture) return;  // its work is in one order
  if (mark->capture)
    spoil_capture(*mark->capture, cudaErrorNotSupported,
                  "the machine captures one stream at a time, and no other may join it");
  if (stream->capture)
    spoil_capture(*stream->capture, cudaErrorStreamCaptureIsolation,
                  "what is captured cannot wait for what is not");
  enqueue(stream, [mark = std::move(mark)] { run_to(*mark); });
}

void run_to(const Mark& mark) {
  while (!mark.reached) {
    if (mark.stream->queue.empty()) throw std::logic_error("a mark that is in no queue");
    run_next(*mark.stream);
  }
}

void run_all(Stream& stream) {
  while (!stream.queue.empty()) run_next(stream);
}

// The newest stream first: what should have waited for an older one comes before it.
void run_device() {
  const Streams streams = all();
  for (auto stream = streams.rbegin(); stream != streams.rend(); ++stream) run_all(**stream);
  // Nobody else knows of these, and nothing waits in them.
  std::erase_if(all(), [&](const auto& stream) {
    return stream->queue.empty() && stream.use_count() == 2;  // `streams` is the other one
  });
}

void drop_all_work() noexcept {
  for (const auto& stream : all()) stream->queue.clear();
}

}  // namespace ptx_machine
