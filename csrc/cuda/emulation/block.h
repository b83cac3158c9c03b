// The threads of the block that runs, each on a fibre of its own, and what they wait for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/emulation/async_copies.h"
#include "cuda/emulation/engine.h"
#include "cuda/emulation/fibre.h"
#include "cuda/emulation/mbarrier.h"
#include "cuda/emulation/shared_arena.h"
#include "cuda/emulation/turns.h"
#include "cuda/emulation/wgmma.h"

namespace neurona::emulation {

struct Call : LaunchShape {
  void (*body)(void*);
  void* argument;
};

class Block {
 public:
  void begin_launch(const Call& call);
  // Runs the threads of one block to their ends; std::runtime_error when a thread does what CUDA
  // forbids, after which this block is forgotten.
  void run(const Index3& place, Turns& turns);

  // What threads call.
  void barrier(const Site& site);
  void exchange(const Site& site, uint32_t mask, void* offer, Finish finish);
  void meet(const Site& site, void* offer, FinishGroup finish);
  void wait_until(const Site& site, Ready ready, const void* what);
  [[noreturn]] void fail(const Site& site, const char* reason);

  // Between the threads' turns, the launch ends with an error.
  [[noreturn]] void stop(const std::string& problem) const;

  bool overlaps() const { return call_.overlaps; }
  void has_waited() { ++waited_; }

  size_t warp() const { return current_ / kWarp; }
  bool is_first_lane() const { return current_ % kWarp == 0; }
  AsyncCopies& copies() { return copies_[current_]; }

  SharedArena shared;
  Mbarriers mbarriers;
  Wgmma wgmma;

 private:
  enum class State : uint8_t { kNew, kReady, kAtBarrier, kInWarp, kInGroup, kUntil, kDone };

  struct Thread {
    Fibre* fibre = nullptr;
    Position position;
    const Site* site = nullptr;  // where it waits; lies on its own stack
    uint32_t mask = 0;           // of the exchange that it waits for
    void* offer = nullptr;
    Ready ready = nullptr;  // what it waits for in wait_until()
    const void* what = nullptr;
  };

  // Sets of lanes.
  struct Warp {
    uint32_t present = 0, returned = 0, waiting = 0;  // the last: in an exchange
  };

  static void fibre_body();
  void run_new_threads();
  void run_to_end(Turns& turns);
  size_t next_turn() const;
  void begin(size_t index, Fibre* fibre);
  void resume(size_t index);
  bool can_run(size_t index);
  void release_barrier();
  const char* problem_with(uint32_t mask) const;
  bool is_complete(size_t first, const Thread& last) const;
  void forget_threads();
  std::string waiting() const;

  Call call_{};
  std::vector<Thread> threads_;
  std::vector<State> states_;
  std::vector<Warp> warps_;
  std::vector<size_t> in_group_;  // threads of each warpgroup that wait to meet
  std::vector<AsyncCopies> copies_;
  std::vector<size_t> order_;
  size_t current_ = 0, turn_ = 0;  // the running thread, and its place in order_
  size_t at_barrier_ = 0, returned_ = 0, waited_ = 0;
  Site first_site_;  // of the threads at a barrier
  bool same_barrier_ = true;
  std::string error_;
  std::vector<std::unique_ptr<Fibre>> fibres_;
  std::vector<Fibre*> idle_;
};

// One launch at a time uses it.
Block& block();

}  // namespace neurona::emulation
