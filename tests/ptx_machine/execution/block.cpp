#include "execution/block.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include "execution/cluster.h"

namespace ptx_machine {
namespace {

// What a float reads as NaN and an index as far outside.
constexpr unsigned char kPoison = 0xff;

std::runtime_error bad_address(const char* what, uint64_t address, size_t bytes) {
  char text[160];
  std::snprintf(text, sizeof text, "%s of %zu bytes at address %#llx", what, bytes,
                static_cast<unsigned long long>(address));
  return std::runtime_error(text);
}

void require_alignment(uint64_t address, size_t bytes) {
  if (address % bytes != 0) throw bad_address("misaligned access", address, bytes);
}

int warps_of(const Grid& grid) {
  const unsigned threads = grid.threads.x * grid.threads.y * grid.threads.z;
  return static_cast<int>((threads + kLanes - 1) / kLanes);
}

}  // namespace

Block::Block(const Grid& grid, Cluster& cluster, unsigned rank)
    : grid_(grid),
      cluster_(cluster),
      rank_(rank),
      shared_(kFirstSharedAddress + grid.shared_bytes),
      registers_(
          new unsigned char[static_cast<size_t>(warps_of(grid)) * grid.kernel->register_bytes]) {}

void Block::start(Dimensions index) {
  index_ = index;
  has_ended_ = false;
  std::fill(shared_.begin(), shared_.end(), kPoison);
  barriers_.clear();
  start_threads(index);
}

void Block::check_end() const {
  for (const auto& [address, barrier] : barriers_)
    if (!barrier.loads.empty())
      throw std::runtime_error(grid_.kernel->name + ": a block ends while it is being copied to");
  for (const Warp& warp : warps_)
    if (!warp.copies.empty() || !warp.products.empty())
      throw std::runtime_error(grid_.kernel->name +
                               ": a warp ends while copies or products are under way");
  for (size_t i = 0; i < warps_.size(); ++i)
    if (warps_[i].begun_products != warps_[i / 4 * 4].begun_products)
      throw std::runtime_error(grid_.kernel->name +
                               ": the four warps of a warpgroup differ in their wgmma");
}

void Block::start_threads(Dimensions index) {
  const Dimensions threads = grid_.threads;
  const unsigned count = threads.x * threads.y * threads.z;
  warps_.clear();
  for (int i = 0; i < warps_of(grid_); ++i) {
    const unsigned first = static_cast<unsigned>(i) * kLanes;
    const unsigned lanes = std::min<unsigned>(count - first, kLanes);
    unsigned char* registers =
        registers_.get() + static_cast<size_t>(i) * grid_.kernel->register_bytes;
    std::memset(registers, kPoison, grid_.kernel->register_bytes);
    warps_.emplace_back(*this, i, lanes == kLanes ? kAllLanes : (LaneMask{1} << lanes) - 1,
                        registers);
    const auto write = [&](Special which, int lane, unsigned value) {
      warps_.back().lanes<uint32_t>(static_cast<Operand>(which) * 4 * kLanes)[lane] = value;
    };
    for (int lane = 0; lane < kLanes; ++lane) {
      const unsigned thread = first + static_cast<unsigned>(lane);
      const unsigned values[] = {thread % threads.x,
                                 thread / threads.x % threads.y,
                                 thread / threads.x / threads.y,
                                 threads.x,
                                 threads.y,
                                 threads.z,
                                 index.x,
                                 index.y,
                                 index.z,
                                 grid_.blocks.x,
                                 grid_.blocks.y,
                                 grid_.blocks.z,
                                 static_cast<unsigned>(lane),
                                 rank_,
                                 grid_.cluster_blocks};
      static_assert(std::size(values) == static_cast<size_t>(Special::kCount));
      for (size_t i = 0; i < std::size(values); ++i)
        write(static_cast<Special>(i), lane, values[i]);
    }
  }
}

void Block::take_turns() {
  bool all_ended = true, all_wait = true;
  for (size_t i = 0; i < warps_.size(); ++i) {
    Warp& warp = warps_[grid_.is_reversed ? warps_.size() - 1 - i : i];
    if (warp.has_ended()) continue;
    if (!warp.is_at_barrier() && warp.run() == Warp::State::kEnded) ++events_;
    all_ended = all_ended && warp.has_ended();
    all_wait = all_wait && (warp.has_ended() || warp.is_at_barrier());
  }
  has_ended_ = all_ended;
  if (all_ended)
    check_end();
  else if (all_wait)
    release_barrier();
}

void Block::release_barrier() {
  ++events_;
  for (Warp& warp : warps_)
    if (warp.is_at_barrier()) warp.pass_barrier();
}

unsigned char* Block::shared(uint64_t address, size_t bytes) {
  require_alignment(address, bytes);
  if (address < kFirstSharedAddress || address > shared_.size() - bytes)
    throw bad_address("access outside of shared memory", address, bytes);
  return shared_.data() + address;
}

unsigned char* Block::global(uint64_t address, size_t bytes) {
  require_alignment(address, bytes);
  if (!last_range_.holds(address, bytes)) {
    last_range_ = memory().range_of(address);
    if (!last_range_.holds(address, bytes))
      throw bad_address("access outside of the device's memory", address, bytes);
  }
  return reinterpret_cast<unsigned char*>(address);
}

unsigned char* Block::parameter(uint64_t address, size_t bytes) {
  require_alignment(address, bytes);
  const uint64_t offset = address - argument_address(0);
  if (offset > grid_.argument_bytes || bytes > grid_.argument_bytes - offset)
    throw bad_address("access outside of the parameters", address, bytes);
  return reinterpret_cast<unsigned char*>(address);
}

bool Block::is_parameter(uint64_t address) const {
  return address - argument_address(0) < grid_.argument_bytes;
}

bool Block::is_own(uint64_t address) const {
  return shared_of_generic(address) < shared_.size() || is_parameter(address);
}

unsigned char* Block::own(uint64_t address, size_t bytes) {
  const uint64_t offset = shared_of_generic(address);
  return offset < shared_.size() ? shared(offset, bytes) : parameter(address, bytes);
}

uint64_t Block::generic_of_shared(uint64_t address) const {
  if (Cluster::is_mapped(address))
    throw std::runtime_error("a generic address in another block's shared memory");
  return reinterpret_cast<uint64_t>(shared_.data()) + address;
}

uint64_t Block::shared_of_generic(uint64_t address) const {
  return address - reinterpret_cast<uint64_t>(shared_.data());
}

uint64_t Block::argument_address(int64_t offset) const {
  return reinterpret_cast<uint64_t>(grid_.arguments) + static_cast<uint64_t>(offset);
}

void Block::init_barrier(uint32_t address, uint32_t arrivals) {
  shared(address, 8);
  if (arrivals == 0) throw bad_address("a barrier of no arrivals", address, 8);
  barriers_[address] = {arrivals, arrivals, 0, 0, {}};
}

Block::Mbarrier& Block::barrier_at(uint32_t address) {
  const auto found = barriers_.find(address);
  if (found == barriers_.end()) throw bad_address("no barrier was made", address, 8);
  return found->second;
}

void Block::end_phase_if_due(Mbarrier& barrier) {
  if (barrier.missing != 0 || barrier.bytes != 0) return;
  ++barrier.phase;
  barrier.missing = barrier.arrivals;
  ++events_;
}

void Block::arrive(uint32_t address, uint32_t announced_bytes) {
  Mbarrier& barrier = barrier_at(address);
  if (barrier.missing == 0) throw bad_address("more arrivals than the barrier has", address, 8);
  barrier.bytes += announced_bytes;
  --barrier.missing;
  ++events_;
  end_phase_if_due(barrier);
}

void Block::load_later(uint32_t barrier, std::function<size_t()> load) {
  barrier_at(barrier).loads.push_back(std::move(load));
}

bool Block::phase_has_ended(uint32_t address, uint32_t parity) {
  Mbarrier& barrier = barrier_at(address);
  for (const auto& load : std::exchange(barrier.loads, {}))
    barrier.bytes -= static_cast<int64_t>(load());
  end_phase_if_due(barrier);
  return (barrier.phase & 1) != (parity & 1);
}

}  // namespace ptx_machine
