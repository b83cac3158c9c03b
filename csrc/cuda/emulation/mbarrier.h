// Barriers in shared memory that count arrivals and bytes (PTX's mbarrier).
//
// A phase ends when all arrivals and all bytes that were announced have come. Bytes from the block
// itself must be announced before they can come. Those that another block of the cluster sends may
// be earlier, as long as an arrival is missing that can still announce them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/emulation/engine.h"
#include "cuda/emulation/shared_arena.h"

namespace neurona::emulation {

// Those of one block.
class Mbarriers {
 public:
  explicit Mbarriers(const SharedArena& shared) : shared_(shared) {}
  void begin_block() { barriers_.clear(); }

  // What threads call, to arrive those of other blocks too.
  void init(const Site& site, uint64_t* barrier, unsigned arrivals);
  void publish();  // the fence that lets transfers see barriers
  void arrive(const Site& site, const uint64_t* barrier, int64_t announced_bytes);
  void wait(const Site& site, const uint64_t* barrier, unsigned parity);

  bool has(const uint64_t* barrier) const { return find(barrier) < barriers_.size(); }

  // A transfer begins whose bytes the barrier is to count; the number of the barrier.
  size_t begin_transfer(const Site& site, const uint64_t* barrier, bool is_from_other_block);
  // Its bytes have come; what is wrong with that, or null.
  const char* end_transfer(size_t number, int64_t bytes, bool is_from_other_block);

  // Which phases have begun and not ended, for the error of a block that waits for ever.
  std::string unfinished() const;

 private:
  struct Barrier {
    Site site;  // of its init
    unsigned arrivals = 0, missing = 0;
    int64_t bytes = 0;              // announced that have not come; below 0 for the contrary
    int64_t from_other_blocks = 0;  // of the phase's bytes that have come
    size_t own_transfers = 0, others_transfers = 0;  // that are under way
    uint64_t phase = 0;
    bool is_published = false;

    size_t& transfers_under_way(bool are_from_other_block) {
      return are_from_other_block ? others_transfers : own_transfers;
    }
  };

  // The barrier's number, or one that no barrier has.
  size_t find(const uint64_t* barrier) const;
  size_t number_of(const Site& site, const uint64_t* barrier) const;
  // Ends the phase if nothing is missing; an error, or null.
  const char* end_phase(size_t number);

  const SharedArena& shared_;
  std::vector<Barrier> barriers_;
};

}  // namespace neurona::emulation
