// The memory that kernels and copies may touch: pieces of the host's, under their own addresses.
// Between red zones, whose bytes show who wrote beside a piece, and full of NaN at first, so that
// nobody takes what was never written for a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace ptx_machine {

enum class Kind { kNone, kDevice, kPinned };

struct Range {
  uintptr_t begin = 0, end = 0;
  Kind kind = Kind::kNone;

  bool holds(uintptr_t first, size_t bytes) const {
    return first >= begin && first <= end && bytes <= end - first;
  }
};

class Memory {
 public:
  // Null when the device's memory, or the host's, is at an end.
  void* allocate(size_t bytes, Kind kind);

  // False for what is no beginning of a piece of that kind. std::runtime_error when somebody wrote
  // beside the piece, which is kept then.
  bool free(void* begin, Kind kind);

  // The piece that the address lies in; an empty range if it lies in none.
  Range range_of(uintptr_t address) const;

  // Whether any byte of these belongs to a piece.
  bool touches_any(uintptr_t address, size_t bytes) const;

  // std::runtime_error when somebody wrote beside a piece.
  void check_red_zones() const;

 private:
  void check_red_zones(const Range& piece) const;

  mutable std::mutex mutex_;
  std::map<uintptr_t, Range> pieces_;  // by their begins
  size_t device_bytes_ = 0;
};

// Never destroyed: arrays may be freed while the process ends.
Memory& memory();

}  // namespace ptx_machine
