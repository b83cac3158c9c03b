#include "cuda/emulation/mbarrier.h"

#include <cstdint>
#include <sstream>

#include "cuda/emulation/block.h"

namespace neurona::emulation {
namespace {

// What lies in shared memory: this and the barrier's number.
constexpr uint64_t kMark = 0xba551e40'00000000, kMarkBits = 0xffffffff'00000000;

constexpr int64_t kMostBytes = (int64_t{1} << 20) - 1;
constexpr const char* kTooManyBytes = "more bytes come than were announced to the mbarrier";

}  // namespace

size_t Mbarriers::find(const uint64_t* barrier) const {
  const uint64_t word = *barrier;
  return (word & kMarkBits) == kMark ? word & ~kMarkBits : SIZE_MAX;
}

size_t Mbarriers::number_of(const Site& site, const uint64_t* barrier) const {
  if (reinterpret_cast<uintptr_t>(barrier) % sizeof *barrier != 0 ||
      !shared_.holds(barrier, sizeof *barrier))
    block().fail(site, "the mbarrier is no aligned word of a shared array");
  const size_t number = find(barrier);
  if (number >= barriers_.size())
    block().fail(site, "the mbarrier was not initialised, or was overwritten");
  return number;
}

void Mbarriers::init(const Site& site, uint64_t* barrier, unsigned arrivals) {
  if (!shared_.holds(barrier, sizeof *barrier))
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
  if (barrier.bytes < 0) return kTooManyBytes;
  if (barrier.own_transfers > 0)
    return "the phase of an mbarrier ends while bytes are under way: fewer were announced";
  if (barrier.others_transfers > 0)
    return "the phase of an mbarrier ends while bytes of another block are under way: they were "
           "sent too early, or fewer were announced";
  ++barrier.phase;
  barrier.missing = barrier.arrivals;
  barrier.from_other_blocks = 0;
  return nullptr;
}

void Mbarriers::arrive(const Site& site, const uint64_t* barrier, int64_t announced_bytes) {
  const size_t number = number_of(site, barrier);
  Barrier& here = barriers_[number];
  if (here.missing == 0) block().fail(site, "one arrival too many in a phase of an mbarrier");
  here.bytes += announced_bytes;
  if (here.bytes > kMostBytes) block().fail(site, "an mbarrier counts 1048575 bytes at most");
  --here.missing;
  if (const char* problem = end_phase(number)) block().fail(site, problem);
}

void Mbarriers::wait(const Site& site, const uint64_t* barrier, unsigned parity) {
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

size_t Mbarriers::begin_transfer(const Site& site, const uint64_t* barrier,
                                 bool is_from_other_block) {
  const size_t number = number_of(site, barrier);
  if (!barriers_[number].is_published)
    block().fail(site, "no fence made the mbarrier's initialisation known to transfers");
  barriers_[number].transfers_under_way(is_from_other_block) += 1;
  return number;
}

const char* Mbarriers::end_transfer(size_t number, int64_t bytes, bool is_from_other_block) {
  Barrier& barrier = barriers_[number];
  barrier.transfers_under_way(is_from_other_block) -= 1;
  barrier.bytes -= bytes;
  if (is_from_other_block) barrier.from_other_blocks += bytes;
  const bool own_were_announced = barrier.bytes + barrier.from_other_blocks >= 0;
  if (!own_were_announced || barrier.bytes < -kMostBytes) return kTooManyBytes;
  return end_phase(number);
}

std::string Mbarriers::unfinished() const {
  std::ostringstream text;
  for (const Barrier& barrier : barriers_) {
    if (barrier.bytes == 0 && barrier.missing == barrier.arrivals) continue;
    text << "; phase " << barrier.phase << " of the mbarrier of " << barrier.site.file << ':'
         << barrier.site.line << " misses " << barrier.missing << " arrivals and ";
    if (barrier.bytes >= 0)
      text << barrier.bytes << " bytes";
    else
      text << "the announcement of " << -barrier.bytes << " bytes";
  }
  return text.str();
}

}  // namespace neurona::emulation
