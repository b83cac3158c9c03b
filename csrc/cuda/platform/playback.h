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

  // The one kernel that `work` enqueues takes the place of what was noted first, a launch of the
  // same kernel, whose overlapping it keeps. Earlier launches are not concerned.
  void renew_first(const std::function<void()>& work);

  // Enqueues all of it, in its order.
  void launch();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace neurona
