#include "cuda/emulation/cluster.h"

#include <sstream>
#include <utility>

namespace neurona::emulation {

Cluster& cluster() {
  static Cluster instance;
  return instance;
}

void Cluster::begin_launch(const Call& call) {
  size_ = call.cluster_blocks;
  while (blocks_.size() < size_) blocks_.push_back(std::make_unique<Block>());
  for (size_t rank = 0; rank < size_; ++rank) blocks_[rank]->begin_launch(call);
}

void Cluster::run(const Index3& first, Turns& turns) {
  at_barrier_ = {};
  transfers_.clear();
  for (unsigned rank = 0; rank < size_; ++rank)
    blocks_[rank]->begin({first.x + rank, first.y, first.z}, turns);
  try {
    run_to_end(turns);
  } catch (...) {
    for (size_t rank = 0; rank < size_; ++rank) blocks_[rank]->forget_threads();
    throw;
  }
}

void Cluster::run_to_end(Turns& turns) {
  for (;;) {
    advance(turns);
    if (threads_left() == 0) return;
    if (!release_barrier() && !end_one_transfer(turns))
      stop((size_ == 1 ? "the block" : "the cluster") + (" waits for ever, " + waiting()));
  }
}

// Until no thread of any block can go on. One that could not may do so after another block has.
void Cluster::advance(Turns& turns) {
  const std::vector<size_t> order = turns.of(size_);
  size_t stuck = 0;
  for (size_t turn = 0; stuck < size_; turn = (turn + 1) % size_) {
    running_block = blocks_[order[turn]].get();
    const bool went_on = running_block->advance();
    if (went_on && running_block->has_ended()) check_end(order[turn]);
    stuck = went_on ? 1 : stuck + 1;
  }
}

void Cluster::check_end(size_t rank) const {
  blocks_[rank]->check_end();
  for (const Transfer& transfer : transfers_)
    if (transfer.to == blocks_[rank].get())
      stop(name_of(rank) + " ended before a transfer, " + describe(transfer.site));
}

size_t Cluster::threads_left() const {
  size_t count = 0;
  for (size_t rank = 0; rank < size_; ++rank) count += blocks_[rank]->threads_left();
  return count;
}

bool Cluster::release_barrier() {
  if (at_barrier_.threads == 0 || at_barrier_.threads < threads_left()) return false;
  if (!at_barrier_.at_same_place)
    stop("threads of one cluster wait at different barriers, " + waiting());
  for (size_t rank = 0; rank < size_; ++rank) blocks_[rank]->pass_cluster_barrier();
  at_barrier_ = {};
  return true;
}

bool Cluster::end_one_transfer(Turns& turns) {
  if (transfers_.empty()) return false;
  const auto place =
      transfers_.begin() + static_cast<std::ptrdiff_t>(turns.of(transfers_.size())[0]);
  const Transfer transfer = std::move(*place);
  transfers_.erase(place);
  transfer.copy();
  if (const char* problem = transfer.to->mbarriers.end_transfer(
          transfer.barrier, static_cast<int64_t>(transfer.bytes), transfer.is_from_other_block))
    stop(std::string(problem) + ", " + describe(transfer.site));
  return true;
}

std::string Cluster::name_of(size_t rank) const {
  return size_ == 1 ? "the block" : "block " + std::to_string(rank) + " of the cluster";
}

// Who waits where, and what for.
std::string Cluster::waiting() const {
  if (size_ == 1) return blocks_[0]->waiting() + blocks_[0]->mbarriers.unfinished();
  std::ostringstream text;
  for (size_t rank = 0; rank < size_; ++rank) {
    const Block& block = *blocks_[rank];
    text << (rank ? "; block " : "block ") << rank << ' '
         << (block.has_ended() ? "has ended" : block.waiting() + block.mbarriers.unfinished());
  }
  return text.str();
}

void* Cluster::declare(const void* declaration, size_t bytes) {
  for (size_t rank = 0; rank < size_; ++rank)
    if (!blocks_[rank]->shared.declare(declaration, bytes)) return nullptr;
  return block().shared.of_declaration(declaration);
}

void Cluster::barrier(const Site& site) {
  if (size_ == 1) return block().barrier(site);
  at_barrier_.join(site);
  block().wait_for_cluster(site);
}

Cluster::Reached Cluster::reach(const Site& site, unsigned rank, const uint64_t* own) {
  if (rank >= size_) fail(site, rank, "does not exist");
  check_shared(site, own, sizeof *own);
  Block& there = *blocks_[rank];
  if (&there == &block()) return {there, own};
  if (there.has_ended()) fail(site, rank, "has ended");
  const auto* theirs =
      reinterpret_cast<const uint64_t*>(there.shared.at(block().shared.address(own)));
  if (!there.mbarriers.has(theirs))
    fail(site, rank, "has not initialised the mbarrier, or it was overwritten");
  return {there, theirs};
}

void Cluster::start(const Site& site, const Reached& to, size_t bytes, std::function<void()> copy) {
  const bool is_from_other_block = &to.block != &block();
  const size_t number = to.block.mbarriers.begin_transfer(site, to.mbarrier, is_from_other_block);
  transfers_.push_back({site, &to.block, number, bytes, is_from_other_block, std::move(copy)});
}

void Cluster::fail(const Site& site, unsigned rank, const char* problem) {
  reason_ = "block " + std::to_string(rank) + " of the cluster " + problem;
  block().fail(site, reason_.c_str());
}

unsigned cluster_rank() { return position().block.x % static_cast<unsigned>(cluster().size()); }

void cluster_barrier(const Site& site) {
  block().exchange(site, block().lanes_of_warp(), nullptr, [](uint32_t, void* const*) {});
  cluster().barrier(site);
}

void arrive_at(const Site& site, uint64_t* barrier, unsigned rank) {
  const Cluster::Reached there = cluster().reach(site, rank, barrier);
  there.block.mbarriers.arrive(site, there.mbarrier, 0);
}

}  // namespace neurona::emulation
