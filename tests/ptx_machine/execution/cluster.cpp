#include "execution/cluster.h"

#include <stdexcept>
#include <string>

namespace ptx_machine {
namespace {

// Turns without an event after which a block is said to wait for ever.
constexpr int kMostIdleTurns = 10000;

// Above every address in a block's shared memory; ranks count from 1 there.
constexpr int kRankShift = 24;
constexpr uint32_t kOffsetBits = (uint32_t{1} << kRankShift) - 1;

}  // namespace

Cluster::Cluster(const Grid& grid) : grid_(grid) {
  for (unsigned rank = 0; rank < grid.cluster_blocks; ++rank)
    blocks_.emplace_back(grid, *this, rank);
}

void Cluster::run(Dimensions first) {
  for (Block& block : blocks_) {
    block.start(first);
    ++first.x;
  }
  int idle = 0;
  uint64_t before = events();
  while (take_turns()) {
    const uint64_t now = events();
    idle = now == before ? idle + 1 : 0;
    before = now;
    if (idle > kMostIdleTurns)
      throw std::runtime_error(grid_.kernel->name + ": a block waits for ever");
  }
}

// False when all blocks have ended. Were it one turn each, blocks would keep pace with each other,
// and hide that one does not wait for another.
bool Cluster::take_turns() {
  bool goes_on = false;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    Block& block = blocks_[grid_.is_reversed ? blocks_.size() - 1 - i : i];
    for (uint64_t before = events() + 1; !block.has_ended() && events() != before;) {
      before = events();
      block.take_turns();
    }
    goes_on = goes_on || !block.has_ended();
  }
  return goes_on;
}

uint64_t Cluster::events() const {
  uint64_t sum = events_;
  for (const Block& block : blocks_) sum += block.events();
  return sum;
}

uint32_t Cluster::mapped(uint32_t address, uint32_t rank) const {
  require_rank(rank);
  if (address > kOffsetBits) throw std::runtime_error("mapa of what is no address of this block");
  return (rank + 1) << kRankShift | address;
}

bool Cluster::is_mapped(uint64_t address) { return address > kOffsetBits && address <= UINT32_MAX; }

void Cluster::arrive(Block& from, uint32_t address, uint32_t announced_bytes) {
  if (!is_mapped(address)) return from.arrive(address, announced_bytes);
  const uint32_t barrier = address & kOffsetBits;
  with_barrier((address >> kRankShift) - 1, barrier).arrive(barrier, announced_bytes);
}

Block& Cluster::with_barrier(uint32_t rank, uint32_t barrier) {
  require_rank(rank);
  Block& block = blocks_[rank];
  const auto fail = [rank](const std::string& what) {
    throw std::runtime_error("block " + std::to_string(rank) + " of the cluster has " + what);
  };
  if (block.has_ended()) fail("ended");
  if (!block.has_barrier(barrier)) fail("made no barrier at address " + std::to_string(barrier));
  return block;
}

void Cluster::require_rank(uint32_t rank) const {
  if (rank >= blocks_.size())
    throw std::runtime_error("the cluster has no block " + std::to_string(rank));
}

void Cluster::arrive_at_barrier(Warp& warp, LaneMask lanes) {
  if (lanes & warp.cluster_arrived)
    throw std::runtime_error("arrives at the cluster's barrier again without having waited");
  warp.cluster_arrived |= lanes;
  ++events_;
}

bool Cluster::try_to_pass_barrier(Warp& warp, LaneMask lanes) {
  if (lanes & ~warp.cluster_arrived)
    throw std::runtime_error("waits at the cluster's barrier without having arrived");
  release_barrier_if_due();
  if (lanes & ~warp.cluster_released) return false;
  warp.cluster_arrived &= ~lanes;
  warp.cluster_released &= ~lanes;
  ++events_;
  return true;
}

// Who is released and has not passed yet has not arrived for the phase that follows.
void Cluster::release_barrier_if_due() {
  for (Block& block : blocks_)
    for (const Warp& warp : block.warps())
      if (warp.live() & ~(warp.cluster_arrived & ~warp.cluster_released)) return;
  for (Block& block : blocks_)
    for (Warp& warp : block.warps()) warp.cluster_released = warp.cluster_arrived;
}

}  // namespace ptx_machine
