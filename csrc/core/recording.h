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

  // Gives a call other numbers, such as a learning rate, from its next repetition on.
  using Change = std::function<void(const std::vector<double>& numbers)>;

  // `call` holds by value all that it needs; the memory that it works on is kept by the owner.
  void add(std::function<void()> call, Change change = {}) {
    calls_.push_back(std::move(call));
    changes_.push_back(std::move(change));
  }
  int64_t size() const { return static_cast<int64_t>(calls_.size()); }

  // Why the calls cannot be repeated; empty if they can.
  void refuse(std::string reason) {
    if (refusal_.empty()) refusal_ = std::move(reason);
  }
  const std::string& refusal() const { return refusal_; }

  // std::out_of_range for a call that is not there, std::bad_function_call for one without numbers.
  void change(int64_t call, const std::vector<double>& numbers) {
    const std::lock_guard<std::mutex> lock(one_at_a_time_);
    changes_.at(static_cast<size_t>(call))(numbers);
  }

  // One replay at a time: the calls share their memory.
  void replay() {
    const std::lock_guard<std::mutex> lock(one_at_a_time_);
    for (const auto& call : calls_) call();
  }

 private:
  static inline thread_local Recording* current_ = nullptr;
  std::vector<std::function<void()>> calls_;
  std::vector<Change> changes_;  // one for each call
  std::string refusal_;
  std::mutex one_at_a_time_;
};

}  // namespace neurona
