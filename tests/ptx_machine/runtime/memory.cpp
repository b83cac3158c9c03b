#include "runtime/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "runtime/device.h"

namespace ptx_machine {
namespace {

constexpr size_t kRedZoneBytes = 256;
constexpr unsigned char kRedZone = 0xa5;
constexpr unsigned char kNaN = 0xff;

// Twice what CUDA promises, so that a piece, which begins behind a red zone, is aligned to what is
// promised and to no more.
constexpr size_t kAlignment = 512;

unsigned char* bytes_at(uintptr_t address) { return reinterpret_cast<unsigned char*>(address); }

// The first byte of a red zone that somebody wrote; null if there is none.
const unsigned char* first_written(uintptr_t begin) {
  const unsigned char* zone = bytes_at(begin);
  const unsigned char* found =
      std::find_if(zone, zone + kRedZoneBytes, [](unsigned char byte) { return byte != kRedZone; });
  return found == zone + kRedZoneBytes ? nullptr : found;
}

}  // namespace

void* Memory::allocate(size_t bytes, Kind kind) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // The host's memory has the same limit, so that no sum below wraps around.
  const size_t used = kind == Kind::kDevice ? device_bytes_ : 0;
  if (bytes > device_memory_bytes() - used) return nullptr;
  const size_t whole = (bytes + 2 * kRedZoneBytes + kAlignment - 1) / kAlignment * kAlignment;
  auto* base = static_cast<unsigned char*>(std::aligned_alloc(kAlignment, whole));
  if (!base) return nullptr;
  unsigned char* begin = base + kRedZoneBytes;
  std::memset(base, kRedZone, kRedZoneBytes);
  std::memset(begin, kNaN, bytes);
  std::memset(begin + bytes, kRedZone, kRedZoneBytes);
  const auto address = reinterpret_cast<uintptr_t>(begin);
  pieces_[address] = {address, address + bytes, kind};
  if (kind == Kind::kDevice) device_bytes_ += bytes;
  return begin;
}

bool Memory::free(void* begin, Kind kind) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = pieces_.find(reinterpret_cast<uintptr_t>(begin));
  if (found == pieces_.end() || found->second.kind != kind) return false;
  const Range piece = found->second;
  check_red_zones(piece);
  if (kind == Kind::kDevice) device_bytes_ -= piece.end - piece.begin;
  pieces_.erase(found);
  std::free(bytes_at(piece.begin) - kRedZoneBytes);
  return true;
}

Range Memory::range_of(uintptr_t address) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto next = pieces_.upper_bound(address);
  if (next == pieces_.begin()) return {};
  const Range& piece = std::prev(next)->second;
  return address < piece.end ? piece : Range{};
}

bool Memory::touches_any(uintptr_t address, size_t bytes) const {
  if (range_of(address).kind != Kind::kNone) return true;
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto next = pieces_.lower_bound(address);
  return next != pieces_.end() && next->first - address < bytes;
}

void Memory::check_red_zones() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [begin, piece] : pieces_) check_red_zones(piece);
}

void Memory::check_red_zones(const Range& piece) const {
  const unsigned char* before = first_written(piece.begin - kRedZoneBytes);
  const unsigned char* behind = first_written(piece.end);
  if (!before && !behind) return;
  std::ostringstream text;
  text << "somebody wrote beside the " << piece.end - piece.begin << " bytes at " << std::hex
       << std::showbase << piece.begin << ", at "
       << reinterpret_cast<uintptr_t>(before ? before : behind);
  throw std::runtime_error(text.str());
}

Memory& memory() {
  static auto* instance = new Memory;
  return *instance;
}

}  // namespace ptx_machine
