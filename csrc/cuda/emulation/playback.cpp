// The emulated graph: the calls of a step, with their arguments, in their order.
#include "cuda/platform/playback.h"

#include <stdexcept>
#include <utility>
#include <vector>

#include "cuda/emulation/engine.h"

namespace neurona {
namespace {

thread_local std::vector<std::function<void()>>* noted = nullptr;  // of the step being captured

struct Noting {
  explicit Noting(std::vector<std::function<void()>>* calls) { noted = calls; }
  ~Noting() { noted = nullptr; }
};

}  // namespace

namespace emulation {

void submit(const std::function<void()>& call) { noted ? noted->push_back(call) : call(); }

}  // namespace emulation

struct Playback::State {
  std::vector<std::function<void()>> calls;
};

Playback::Playback(const std::function<void()>& work) : state_(std::make_unique<State>()) {
  const Noting noting(&state_->calls);
  work();
}

Playback::~Playback() = default;

void Playback::renew_first(const std::function<void()>& work) {
  std::vector<std::function<void()>> renewed;
  const Noting noting(&renewed);
  work();
  if (renewed.size() != 1 || state_->calls.empty())
    throw std::logic_error("graph: one kernel takes the place of one");
  state_->calls.front() = std::move(renewed.front());
}

void Playback::launch() {
  for (const auto& call : state_->calls) call();
}

}  // namespace neurona
