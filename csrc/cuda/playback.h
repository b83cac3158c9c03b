// What the platform keeps of a captured step: a CUDA graph, or the emulation's list of calls.
#pragma once

#include <functional>
#include <memory>

namespace neurona {

class Playback {
 public:
  // Notes what `work` enqueues from this thread; nothing of it runs.
  explicit Playback(const std::function<void()>& work);
  ~Playback();  // waits for the last launch
  Playback(const Playback&) = delete;
  Playback& operator=(const Playback&) = delete;

  // Enqueues all of it, in its order.
  void launch();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace neurona
