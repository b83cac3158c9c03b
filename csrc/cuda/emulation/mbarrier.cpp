#include "cuda/emulation/mbarrier.h"

#include <sstream>
#include <utility>

#include "cuda/emulation/block.h"

namespace neurona::emulation {
namespace {

// What lies in shared memory: this and the barrier's number.
constexpr uint64_t kMark = 0xba551e40'00000000, kMarkBits = 0xffffffff'00000000;

}  // namespace

void Mbarriers::begin_block() {
  barriers_.clear();
  transfers_.clear();
}

std::string Mbarriers::problem_at_end() const {
  if (transfers_.empty()) return {};
  return "the block ended before a transfer, " + describe(transfers_[0].site);
}

size_t Mbarriers::number_of(const Site& site, const uint64_t* barrier) const {
  if (reinterpret_cast<uintptr_t>(barrier) % sizeof *barrier != 0 ||
      !block().shared.holds(barrier, sizeof *barrier))
    block().fail(site, "the mbarrier is no aligned word of a shared array");
  const uint64_t word = *barrier, number = word & ~kMarkBits;
  if ((word & kMarkBits) != kMark || number >= barriers_.size())
    block().fail(site, "the mbarrier was not initialised, or was overwritten");
  return number;
}

void Mbarriers::init(const Site& site, uint64_t* barrier, unsigned arrivals) {
  if (!block().shared.holds(barrier, sizeof *barrier))
    block().fail(site, "the mbarrier does not lie in a shared array");
  if ((*barrier & kMarkBits) == kMark) block().fail(site, "the mbarrier is in use");
  if (arrivals == 0) block().fail(site, "an mbarrier waits for one arrival at least");
  *barrier = kMark | barriers_.size();
  barriers_.push_back({site, arrivals, arrivals});
}

void Mbarriers::publish() {
  for (Barrier& barrier : barriers_) barrier.is_published = true;
}

const char* Mbarriers::end_phase(size_t number) {
  Barrier& barrier = barriers_[number];
  if (barrier.missing > 0 || barrier.bytes > 0) return nullptr;
  for (const Transfer& transfer : transfers_)
    if (transfer.barrier == number)
      return "the phase of an mbarrier ends while bytes are under way: fewer were announced";
  ++barrier.phase;
  barrier.missing = barrier.arrivals;
  return nullptr;
}

void Mbarriers::arrive(const Site& site, uint64_t* barrier, size_t announced_bytes) {
  constexpr size_t kMostBytes = (size_t{1} << 20) - 1;
  const size_t number = number_of(site, barrier);
  Barrier& here = barriers_[number];
  if (here.missing == 0) block().fail(site, "one arrival too many in a phase of an mbarrier");
  here.bytes += announced_bytes;
  if (here.bytes > kMostBytes) block().fail(site, "an mbarrier counts 1048575 bytes at most");
  --here.missing;
  if (const char* problem = end_phase(number)) block().fail(site, problem);
}

void Mbarriers::wait(const Site& site, uint64_t* barrier, unsigned parity) {
  struct Wanted {
    const Mbarriers* barriers;
    size_t number;
    unsigned parity;
  } wanted{this, number_of(site, barrier), parity};
  block().wait_until(
      site,
      [](const void* what) {
        const auto& [barriers, number, parity] = *static_cast<const Wanted*>(what);
        return barriers->barriers_[number].phase % 2 != parity;
      },
      &wanted);
}

void Mbarriers::start(const Site& site, uint64_t* barrier, size_t bytes,
                      std::function<void()> copy) {
  const size_t number = number_of(site, barrier);
  if (!barriers_[number].is_published)
    block().fail(site, "no fence made the mbarrier's initialisation known to transfers");
  transfers_.push_back({site, number, bytes, std::move(copy)});
}

bool Mbarriers::end_one_transfer(Turns& turns) {
  if (transfers_.empty()) return false;
  const auto place =
      transfers_.begin() + static_cast<std::ptrdiff_t>(turns.of(transfers_.size())[0]);
  const Transfer transfer = std::move(*place);
  transfers_.erase(place);
  transfer.copy();
  Barrier& barrier = barriers_[transfer.barrier];
  const char* problem = barrier.bytes < transfer.bytes
                            ? "more bytes come than were announced to the mbarrier"
                            : nullptr;
  if (!problem) {
    barrier.bytes -= transfer.bytes;
    problem = end_phase(transfer.barrier);
  }
  if (problem) block().stop(std::string(problem) + ", " + describe(transfer.site));
  return true;
}

std::string Mbarriers::unfinished() const {
  std::ostringstream text;
  for (const Barrier& barrier : barriers_)
    if (barrier.bytes > 0 || barrier.missing < barrier.arrivals)
      text << "; phase " << barrier.phase << " of the mbarrier of " << barrier.site.file << ':'
           << barrier.site.line << " misses " << barrier.missing << " arrivals and "
           << barrier.bytes << " bytes";
  return text.str();
}

}  // namespace neurona::emulation
