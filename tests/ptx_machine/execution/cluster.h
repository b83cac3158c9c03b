// A cluster: blocks that run at once, reach each other's barriers and wait for one another. A grid
// without clusters has clusters of one block.
//
// Each block goes on as long as anything happens in it. So a block that reaches one that has ended,
// or a barrier that is not there yet, because it does not wait for it, is noticed in one order of
// the blocks if not in the other. What fences and the scope of an arrival say is not noticed:
// threads of this machine see every store at once. Nor are loads into a tile that is still read,
// but by the bytes that are too many for the phase that they come to, and by what late readers
// find.
#pragma once

#include <cstdint>
#include <deque>

#include "execution/block.h"

namespace ptx_machine {

class Cluster {
 public:
  explicit Cluster(const Grid& grid);

  // All threads of its blocks to their end; `first` is the index of the block of rank 0. Throws
  // std::runtime_error.
  void run(Dimensions first);

  // A shared::cluster address. One that mapa made names its block in the bits above those of shared
  // memory; any other means the block that uses it. Only arrivals take those of mapa: all else
  // refuses them, even where they name the own block, which a GPU would not.
  uint32_t mapped(uint32_t address, uint32_t rank) const;
  static bool is_mapped(uint64_t address);

  // An arrival by a thread of `from` at a barrier of any block.
  void arrive(Block& from, uint32_t address, uint32_t announced_bytes);

  // The block of this rank, for somebody who is to use its barrier. std::runtime_error if the block
  // is not there, has ended, or has made no such barrier.
  Block& with_barrier(uint32_t rank, uint32_t barrier);

  // barrier.cluster: threads pass when all threads of the cluster that have not ended have arrived.
  void arrive_at_barrier(Warp& warp, LaneMask lanes);
  bool try_to_pass_barrier(Warp& warp, LaneMask lanes);

 private:
  bool take_turns();
  uint64_t events() const;
  void require_rank(uint32_t rank) const;
  void release_barrier_if_due();

  const Grid& grid_;
  std::deque<Block> blocks_;  // by rank
  uint64_t events_ = 0;       // those of the cluster's own barrier
};

}  // namespace ptx_machine
