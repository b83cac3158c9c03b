// A sequence of kernel calls, noted while Python makes them and repeated without it.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace neurona {

class Recording {
 public:
  // The recording that notes what this thread calls, or null.
  static Recording* current() { return current_; }

  ~Recording() {
    if (current_ == this) current_ = nullptr;
  }

  // From here on, until stop(), the thread's calls are noted.
  void start() { current_ = this; }
  static void stop() { current_ = nullptr; }

  // `call` holds by value all that it needs; the memory that it works on is kept by the owner.
  void add(std::function<void()> call) { calls_.push_back(std::move(call)); }
  int64_t size() const { return static_cast<int64_t>(calls_.size()); }

  // Why the calls cannot be repeated; empty if they can.
  void refuse(std::string reason) {
    if (refusal_.empty()) refusal_ = std::move(reason);
  }
  const std::string& refusal() const { return refusal_; }

  // One replay at a time: the calls share their memory.
  void replay() {
    const std::lock_guard<std::mutex> lock(one_at_a_time_);
    for (const auto& call : calls_) call();
  }

 private:
  static inline thread_local Recording* current_ = nullptr;
  std::vector<std::function<void()>> calls_;
  std::string refusal_;
  std::mutex one_at_a_time_;
};

}  // namespace neurona
