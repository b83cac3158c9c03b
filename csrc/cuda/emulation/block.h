// The threads of a block, each on a fibre of its own, and what they wait for.
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
#include "cuda/emulation/meeting.h"
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
  void begin(const Index3& place, Turns& turns);
  // Lets threads run until none can go on by itself; false if none could. std::runtime_error when
  // one does what CUDA forbids.
  bool advance();
  size_t threads_left() const { return threads_.size() - returned_; }
  bool has_ended() const { return threads_left() == 0; }
  // Whether all was done that a block must do before its end.
  void check_end() const;
  // After an error, as no thread goes on.
  void forget_threads();
  void pass_cluster_barrier() { release(State::kAtClusterBarrier); }

  // What threads call.
  void barrier(const Site& site);
  void wait_for_cluster(const Site& site) { suspend_in(State::kAtClusterBarrier, site); }
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
  uint32_t lanes_of_warp() const { return warps_[warp()].present; }
  AsyncCopies& copies() { return copies_[current_]; }
  std::string waiting() const;

  SharedArena shared;
  Mbarriers mbarriers{shared};
  Wgmma wgmma;

 private:
  enum class State : uint8_t {
    kNew,
    kReady,
    kAtBarrier,
    kAtClusterBarrier,
    kInWarp,
    kInGroup,
    kUntil,
    kDone
  };

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
  bool take_turns();
  size_t next_turn() const;
  void begin_thread(size_t index, Fibre* fibre);
  void resume(size_t index);
  bool can_run(size_t index);
  void suspend_in(State state, const Site& site);
  void release(State from);
  void release_barrier();
  const char* problem_with(uint32_t mask) const;
  bool is_complete(size_t first, const Thread& last) const;

  Call call_{};
  std::vector<Thread> threads_;
  std::vector<State> states_;
  std::vector<Warp> warps_;
  std::vector<size_t> in_group_;  // threads of each warpgroup that wait to meet
  std::vector<AsyncCopies> copies_;
  std::vector<size_t> order_;
  size_t current_ = 0, turn_ = 0;  // the running thread, and its place in order_
  size_t returned_ = 0, waited_ = 0;
  Meeting at_barrier_;
  std::string error_;
  std::vector<std::unique_ptr<Fibre>> fibres_;
  std::vector<Fibre*> idle_;
};

// Of the thread that runs.
extern Block* running_block;
inline Block& block() { return *running_block; }

}  // namespace neurona::emulation
