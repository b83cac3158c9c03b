#include "cuda/emulation/async_copies.h"

#include <cstdint>
#include <cstring>

#include "cuda/emulation/block.h"
#include "cuda/emulation/device_memory.h"
#include "cuda/emulation/poison.h"

namespace neurona::emulation {

void AsyncCopies::forget() {
  copies_.clear();
  ends_.clear();
}

void AsyncCopies::begin(const Copy& copy) {
  std::memset(copy.to, kUnset, copy.bytes);
  copies_.push_back(copy);
}

void AsyncCopies::wait(size_t newest) {
  if (ends_.size() <= newest) return;
  const size_t arrived = ends_.size() - newest, end = ends_[arrived - 1];
  for (size_t i = 0; i < end; ++i) {
    const Copy& copy = copies_[i];
    std::memcpy(copy.to, copy.from, copy.read_bytes);
    std::memset(static_cast<unsigned char*>(copy.to) + copy.read_bytes, 0,
                copy.bytes - copy.read_bytes);
  }
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<ptrdiff_t>(end));
  ends_.erase(ends_.begin(), ends_.begin() + static_cast<ptrdiff_t>(arrived));
  for (size_t& left : ends_) left -= end;
}

void begin_copy(const Site& site, const AsyncCopies::Copy& copy) {
  check_shared(site, copy.to, copy.bytes);
  // Also where nothing is read: nowhere is written what a GPU makes of such an address.
  if (!is_on_device(copy.from, copy.read_bytes))
    fail(site, "the source does not lie in an array of the device");
  if (reinterpret_cast<uintptr_t>(copy.from) % copy.bytes != 0)
    fail(site, "the source is not aligned");
  block().copies().begin(copy);
}

void commit_copies() { block().copies().commit(); }
void wait_for_copies(size_t newest) { block().copies().wait(newest); }

}  // namespace neurona::emulation
