// Division by a number that is known at the launch, without the 30 instructions of a real one.
#pragma once

#include "cuda/device.h"

namespace neurona {

// n / d = (n m) >> (31 + l), l = ceil(log2 d), m = ceil(2^(31 + l) / d): exact for n < 2^31
// (Granlund and Montgomery 1994). Larger n are divided in the ordinary way.
struct Divisor {
  int64_t divisor;
  uint32_t multiplier;
  int shift;

  Divisor() = default;
  explicit Divisor(int64_t d) : divisor(d), multiplier(0), shift(0) {
    if (d < 1 || d >= kLimit) return;
    int log2 = 0;
    while ((int64_t{1} << log2) < d) ++log2;
    shift = log2 - 1;
    const uint64_t power = uint64_t{1} << (31 + log2);
    multiplier =
        static_cast<uint32_t>((power + static_cast<uint64_t>(d) - 1) / static_cast<uint64_t>(d));
  }

  __device__ int64_t quotient(int64_t n) const {
    if (divisor == 1) return n;
    if (n >= kLimit || divisor >= kLimit) return n / divisor;
    return __umulhi(static_cast<uint32_t>(n), multiplier) >> shift;
  }
  // A divisor that is too large has the multiplier 0, which gives the right quotient too.
  __device__ int32_t quotient(int32_t n) const {
    if (shift < 0) return n;  // of 1
    return static_cast<int32_t>(__umulhi(static_cast<uint32_t>(n), multiplier) >> shift);
  }

  static constexpr int64_t kLimit = int64_t{1} << 31;
};

template <typename Index>
struct DividedBy {
  Index quotient, remainder;
};
using Divided = DividedBy<int64_t>;

template <typename Index>
__device__ inline DividedBy<Index> divide(Index n, const Divisor& divisor) {
  const Index quotient = divisor.quotient(n);
  return {quotient, n - quotient * static_cast<Index>(divisor.divisor)};
}

}  // namespace neurona
