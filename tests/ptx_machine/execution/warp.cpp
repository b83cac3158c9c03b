#include "execution/warp.h"

#include <algorithm>
#include <climits>
#include <stdexcept>
#include <string>
#include <utility>

#include "execution/block.h"

namespace ptx_machine {

// Constants are never written to.
Warp::Warp(Block& in_block, int warp_index, LaneMask lanes, unsigned char* registers)
    : block(in_block),
      counters(in_block.grid().counters),
      index(warp_index),
      waited(in_block.grid().overlaps ? 0 : kAllLanes),
      registers_(registers),
      constants_(const_cast<unsigned char*>(in_block.grid().kernel->constants.data())),
      code_(in_block.grid().kernel->code.data()),
      groups_{{0, lanes, false}} {}

LaneMask Warp::live() const {
  LaneMask lanes = 0;
  for (const Group& group : groups_) lanes |= group.lanes;
  return lanes;
}

LaneMask Warp::guarded(const Instruction& instruction, LaneMask lanes) const {
  if (instruction.guard == kNoOperand) return lanes;
  const LaneMask guard = mask(instruction.guard);
  return lanes & (instruction.is_negated ? ~guard : guard);
}

// Threads that have come to the same instruction go on together.
void Warp::merge_groups() {
  std::sort(groups_.begin(), groups_.end(),
            [](const Group& a, const Group& b) { return a.at < b.at; });
  size_t kept = 0;
  for (size_t i = 1; i < groups_.size(); ++i) {
    if (groups_[i].at == groups_[kept].at) {
      groups_[kept].lanes |= groups_[i].lanes;
      groups_[kept].waits = false;
    } else {
      groups_[++kept] = groups_[i];
    }
  }
  groups_.resize(kept + 1);
}

// Those that are furthest behind go first, so that threads meet where their ways do.
size_t Warp::next_group() {
  merge_groups();
  // .. but those that a barrier holds up must not keep others from their turn.
  const size_t count = groups_.size(), first = std::exchange(behind_waiting_, 0);
  for (size_t i = 0; i < count; ++i)
    if (const size_t which = (first + i) % count; !groups_[which].waits) return which;
  fail(code_[groups_[0].at], "threads of a warp wait for each other at different instructions");
}

Warp::State Warp::run() {
  while (!groups_.empty()) {
    const size_t which = next_group();
    Group& group = groups_[which];
    const int32_t others = which + 1 < groups_.size() ? groups_[which + 1].at : INT32_MAX;
    const bool is_alone = groups_.size() == 1;
    gives_up_turn = false;
    int32_t last = 0;
    do last = group.at;
    while (step(group) && (is_alone || (group.at > last && group.at < others)));
    if (at_barrier_) return State::kAtBarrier;
    if (gives_up_turn) {
      behind_waiting_ = which + 1;
      return State::kTurnOver;
    }
  }
  return State::kEnded;
}

// One instruction of the group; false if groups have changed or must give others a turn.
bool Warp::step(Group& group) {
  const Instruction& instruction = code_[group.at];
  const LaneMask active = guarded(instruction, group.lanes);
  if (counters && !std::exchange(group.comes_again, false))
    counters->note_instruction(instruction, active);
  switch (instruction.flow) {
    case Flow::kBranch: return take_branch(group, instruction);
    case Flow::kExit: {
      if (active & ~waited) fail(instruction, "ends without having waited for earlier kernels");
      group.lanes &= ~active;
      ++group.at;
      if (group.lanes == 0) std::erase_if(groups_, [](const Group& each) { return !each.lanes; });
      return false;
    }
    case Flow::kTogether:
    case Flow::kBarrier:
      if (active && !are_together(instruction, group.lanes, active)) {
        group.waits = true;
        return false;
      }
      break;
    default: break;
  }
  if (active == 0) {
    ++group.at;
    return true;
  }
  if (instruction.flow == Flow::kBarrier) {
    if (active != group.lanes) fail(instruction, "some threads of a warp pass by a barrier");
    at_barrier_ = true;
    return false;
  }
  try {
    instruction.execute(*this, instruction, active);
  } catch (const std::exception& error) {
    fail(instruction, error.what());
  }
  const bool is_done_again = gives_up_turn && instruction.flow != Flow::kTryWait;
  if (is_done_again)
    group.comes_again = true;
  else
    ++group.at;
  return !gives_up_turn;
}

bool Warp::take_branch(Group& group, const Instruction& instruction) {
  const LaneMask taken = guarded(instruction, group.lanes);
  if (taken == group.lanes) {
    group.at = instruction.target;
    return true;
  }
  ++group.at;
  if (taken == 0) return true;
  group.lanes &= ~taken;
  groups_.push_back({instruction.target, taken, false});
  return false;
}

bool Warp::are_together(const Instruction& instruction, LaneMask lanes, LaneMask active) const {
  if (instruction.members == kNoOperand) return (live() & ~lanes) == 0;
  LaneMask named = 0;
  bool name_themselves = true;
  for_lanes(active, [&](int lane) {
    const LaneMask members = this->lanes<LaneMask>(instruction.members)[lane];
    named |= members;
    name_themselves = name_themselves && (members >> lane & 1);
  });
  if (!name_themselves) fail(instruction, "a thread is not among the threads that it names");
  return (named & live() & ~lanes) == 0;
}

void Warp::require_waited(LaneMask lanes) const {
  if (lanes & ~waited)
    throw std::runtime_error("touches memory before it waits for earlier kernels");
}

unsigned char* Warp::device_memory(int lane, uint64_t address, size_t bytes) {
  require_waited(LaneMask{1} << lane);
  return block.global(address, bytes);
}

void Warp::pass_barrier() {
  at_barrier_ = false;
  ++groups_.front().at;
}

void Warp::fail(const Instruction& instruction, const char* what) const {
  const Dimensions at = block.index();
  throw std::runtime_error(block.grid().kernel->name + ", block (" + std::to_string(at.x) + ", " +
                           std::to_string(at.y) + ", " + std::to_string(at.z) + "), warp " +
                           std::to_string(index) + ", PTX line " +
                           std::to_string(instruction.line) + ": " + what);
}

}  // namespace ptx_machine
