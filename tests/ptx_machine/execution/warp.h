// A warp: 32 threads, their registers, and where each of them is.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "program/program.h"

namespace ptx_machine {

class Block;
class Counters;

// For the lanes of a mask; all of them in a loop that compilers make wide.
template <typename Work>
inline void for_lanes(LaneMask lanes, Work work) {
  if (lanes == kAllLanes)
    for (int lane = 0; lane < kLanes; ++lane) work(lane);
  else
    for (; lanes; lanes &= lanes - 1) work(__builtin_ctz(lanes));
}

// The values of an operand, by lane.
template <typename Value>
class Lanes {
 public:
  explicit Lanes(unsigned char* first) : first_(first) {}
  Value& operator[](int lane) const {
    return *reinterpret_cast<Value*>(first_ +
                                     slot_bytes(sizeof(Value)) * static_cast<size_t>(lane));
  }

 private:
  unsigned char* first_;
};

// cp.async that has not arrived.
struct PendingCopy {
  int lane;
  int64_t group;
  unsigned char* to;
  const unsigned char* from;
  size_t bytes, read_bytes;
};

// wgmma that has not been computed: an instruction and what its operands were.
struct PendingProduct {
  int64_t group;
  const Instruction* instruction;
  uint64_t a, b;
  bool accumulates;
};

class Warp {
 public:
  enum class State { kTurnOver, kAtBarrier, kEnded };

  Warp(Block& block, int index, LaneMask lanes, unsigned char* registers);

  // Until all threads have ended or wait for other warps.
  State run();
  // Behind the barrier that all threads of the block are at.
  void pass_barrier();
  bool is_at_barrier() const { return at_barrier_; }
  bool has_ended() const { return groups_.empty(); }
  LaneMask live() const;  // who has not ended

  template <typename Value>
  Lanes<Value> lanes(Operand operand) const {
    return Lanes<Value>(place(operand));
  }
  LaneMask& mask(Operand operand) const { return *reinterpret_cast<LaneMask*>(place(operand)); }

  // The base of an address, as its register has it, and the offset.
  uint64_t address(const Instruction& instruction, Operand base, int lane) const {
    const auto offset = static_cast<uint64_t>(instruction.immediate);
    if (base == kNoOperand) return offset;
    if (instruction.has_wide_address) return lanes<uint64_t>(base)[lane] + offset;
    return static_cast<uint32_t>(lanes<uint32_t>(base)[lane] + static_cast<uint32_t>(offset));
  }

  // The device's memory, which threads of a kernel that overlaps may touch when they have waited
  // for earlier kernels. std::runtime_error as of Block::global().
  unsigned char* device_memory(int lane, uint64_t address, size_t bytes);
  void require_waited(LaneMask lanes) const;

  Block& block;
  Counters* const counters;  // null: nothing is counted
  const int index;
  LaneMask waited;  // for earlier kernels
  // Threads' own groups of copies, and the warp's of products: the number of the open one.
  int64_t copy_group[kLanes] = {};
  std::vector<PendingCopy> copies;
  int64_t product_group = 0;
  std::vector<PendingProduct> products;
  int64_t begun_products = 0;
  // barrier.cluster: who has arrived and not passed, and who of these may pass.
  LaneMask cluster_arrived = 0, cluster_released = 0;
  // By an instruction that waits for what others do: mbarrier.try_wait, which says so to its
  // thread, or one that is done again in the next turn.
  bool gives_up_turn = false;

 private:
  // Threads at the same instruction.
  struct Group {
    int32_t at;
    LaneMask lanes;
    bool waits;                // for the others of the warp
    bool comes_again = false;  // to an instruction that it was held up by
  };

  unsigned char* place(Operand operand) const {
    return operand >= 0 ? registers_ + operand : constants_ + ~operand;
  }
  LaneMask guarded(const Instruction& instruction, LaneMask lanes) const;
  size_t next_group();
  void merge_groups();
  bool step(Group& group);
  bool take_branch(Group& group, const Instruction& instruction);
  // Whether all threads that the active ones of these lanes wait for have come.
  bool are_together(const Instruction& instruction, LaneMask lanes, LaneMask active) const;
  [[noreturn]] void fail(const Instruction& instruction, const char* what) const;

  unsigned char* registers_;
  unsigned char* constants_;
  const Instruction* code_;
  std::vector<Group> groups_;
  bool at_barrier_ = false;
  size_t behind_waiting_ = 0;  // the group to go on with
};

}  // namespace ptx_machine
