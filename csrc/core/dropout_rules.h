// What dropout with probability p keeps, and how.
#pragma once

#include <cmath>
#include <cstdint>

namespace neurona {

// An element is kept, and multiplied by `scale`, when the top 24 bits of its word are at least
// `threshold`.
struct DropoutRule {
  int32_t threshold;
  float scale;
};

// u >= p for a whole number u 2^24 means u 2^24 >= ceil(p 2^24); the product is exact.
inline DropoutRule dropout_rule(double p) {
  return {static_cast<int32_t>(std::ceil(p * 0x1p24)),
          static_cast<float>(p < 1 ? 1 / (1 - p) : 0.0)};
}

}  // namespace neurona
