// In which order the threads of a block, the blocks of a cluster or those of a grid take their
// turns.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "cuda/emulation/engine.h"

namespace neurona::emulation {

class Turns {
 public:
  explicit Turns(const Schedule& schedule) : order_(schedule.order), state_(schedule.seed) {}

  std::vector<size_t> of(size_t count) {
    std::vector<size_t> turns(count);
    std::iota(turns.begin(), turns.end(), size_t{0});
    if (order_ == Order::kReverse) std::reverse(turns.begin(), turns.end());
    if (order_ == Order::kShuffled)
      for (size_t left = count; left > 1; --left)
        std::swap(turns[left - 1], turns[(random() >> 32) * left >> 32]);
    return turns;
  }

 private:
  // The sequence of splitmix64.
  uint64_t random() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

  Order order_;
  uint64_t state_;
};

}  // namespace neurona::emulation
