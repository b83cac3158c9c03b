// The blocks of a cluster, which run at once, and the transfers that bring bytes to them. Without
// clusters every block is one by itself.
//
// Each block goes on as far as it can before the next one has its turn. Bytes come only when no
// thread of any block can go on without them, one transfer at a time in the order of the schedule:
// whoever does not wait for them, or for the wrong phase, finds NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cuda/emulation/block.h"
#include "cuda/emulation/engine.h"
#include "cuda/emulation/meeting.h"
#include "cuda/emulation/turns.h"

namespace neurona::emulation {

class Cluster {
 public:
  void begin_launch(const Call& call);
  // Runs the blocks from `first` on along x to their ends; std::runtime_error when a thread does
  // what CUDA forbids, after which they are forgotten.
  void run(const Index3& first, Turns& turns);

  size_t size() const { return size_; }

  // What threads call. Declares an array of shared memory in all blocks; null when no more fits.
  void* declare(const void* declaration, size_t bytes);
  void barrier(const Site& site);
  // A block of the cluster, also the thread's own, and the mbarrier that lies where `own` does.
  struct Reached {
    Block& block;
    const uint64_t* mbarrier;
  };
  Reached reach(const Site& site, unsigned rank, const uint64_t* own);
  // Bytes will come there, which copy() brings.
  void start(const Site& site, const Reached& to, size_t bytes, std::function<void()> copy);

 private:
  struct Transfer {
    Site site;
    Block* to;
    size_t barrier, bytes;
    bool is_from_other_block;
    std::function<void()> copy;
  };

  void run_to_end(Turns& turns);
  void advance(Turns& turns);
  void check_end(size_t rank) const;
  size_t threads_left() const;
  bool release_barrier();
  bool end_one_transfer(Turns& turns);
  [[noreturn]] void fail(const Site& site, unsigned rank, const char* problem);
  [[noreturn]] void stop(const std::string& problem) const { blocks_[0]->stop(problem); }
  std::string name_of(size_t rank) const;
  std::string waiting() const;

  std::vector<std::unique_ptr<Block>> blocks_;  // as many as the largest cluster so far had
  size_t size_ = 1;                             // of this launch's clusters
  Meeting at_barrier_;
  std::vector<Transfer> transfers_;
  std::string reason_;  // of an error, where no thread's stack must own it
};

// One launch at a time uses it.
Cluster& cluster();

}  // namespace neurona::emulation
