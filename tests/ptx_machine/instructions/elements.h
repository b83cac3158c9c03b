// Elements that tensor cores multiply, out of the words that hold them.
#pragma once

#include <bit>
#include <cstdint>

namespace ptx_machine {

// The 13 lowest bits are not looked at.
struct Tf32Element {
  static constexpr int kBytes = 4;
  static float value(uint32_t word, int) { return std::bit_cast<float>(word & 0xffffe000); }
};

struct Bfloat16Element {
  static constexpr int kBytes = 2;
  static float value(uint32_t word, int which) {
    return std::bit_cast<float>(which == 0 ? word << 16 : word & 0xffff0000);
  }
};

}  // namespace ptx_machine
