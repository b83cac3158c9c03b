// A block: its shared memory, its warps' turns, and what copies arrive behind their backs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "runtime/memory.h"
#include "program/program.h"
#include "execution/counters.h"
#include "execution/warp.h"

namespace ptx_machine {

class Cluster;

// What all blocks of a launch have in common.
struct Grid {
  const Kernel* kernel;
  Dimensions blocks, threads;
  unsigned cluster_blocks;
  size_t shared_bytes;  // static and dynamic
  const unsigned char* arguments;
  size_t argument_bytes;
  bool overlaps;       // with the kernel before, which every thread must wait for
  bool is_reversed;    // the last warps, and blocks, come first
  Counters* counters;  // null: nothing is counted
};

class Block {
 public:
  Block(const Grid& grid, Cluster& cluster, unsigned rank);

  void start(Dimensions index);
  // One turn of each warp that has not ended. Throws std::runtime_error.
  void take_turns();
  bool has_ended() const { return has_ended_; }
  uint64_t events() const { return events_; }

  const Grid& grid() const { return grid_; }
  Cluster& cluster() const { return cluster_; }
  Dimensions index() const { return index_; }
  int warp_count() const { return static_cast<int>(warps_.size()); }
  std::vector<Warp>& warps() { return warps_; }

  // Memory of so many bytes that the address must be a multiple of; std::runtime_error for what
  // lies outside. A generic address is one of the host, also where it points into shared memory.
  unsigned char* shared(uint64_t address, size_t bytes);
  unsigned char* global(uint64_t address, size_t bytes);
  unsigned char* parameter(uint64_t address, size_t bytes);
  bool is_parameter(uint64_t address) const;  // generic
  bool is_own(uint64_t address) const;        // generic: of its shared memory or its parameters
  unsigned char* own(uint64_t address, size_t bytes);
  uint64_t generic_of_shared(uint64_t address) const;
  uint64_t shared_of_generic(uint64_t address) const;
  uint64_t argument_address(int64_t offset) const;

  // mbarrier objects. The copies that an arrival announces are made when somebody of this block
  // tests the barrier, as late as can be. Bytes may come before they are announced, as they do from
  // other blocks of the cluster, while an arrival is missing. What barriers count does not lie in
  // shared memory: a store that destroys one is not noticed.
  void init_barrier(uint32_t address, uint32_t arrivals);
  bool has_barrier(uint32_t address) const { return barriers_.contains(address); }
  void arrive(uint32_t address, uint32_t announced_bytes);
  void load_later(uint32_t barrier, std::function<size_t()> load);  // which says how many bytes
  bool phase_has_ended(uint32_t barrier, uint32_t parity);

 private:
  struct Mbarrier {
    uint32_t arrivals = 0, missing = 0;  // of all, and in this phase
    int64_t bytes = 0;                   // that are announced and have not come; may be below 0
    uint32_t phase = 0;
    std::vector<std::function<size_t()>> loads;
  };

  void start_threads(Dimensions index);
  void check_end() const;
  void release_barrier();
  Mbarrier& barrier_at(uint32_t address);
  void end_phase_if_due(Mbarrier& barrier);

  const Grid& grid_;
  Cluster& cluster_;
  const unsigned rank_;  // in the cluster
  bool has_ended_ = false;
  Dimensions index_{};
  std::vector<unsigned char> shared_;
  std::unique_ptr<unsigned char[]> registers_;
  std::vector<Warp> warps_;
  std::map<uint32_t, Mbarrier> barriers_;
  Range last_range_{};
  uint64_t events_ = 0;  // arrivals and ends, so that a block that waits for ever is noticed
};

}  // namespace ptx_machine
