// What the steps of all optimizers share.
#pragma once

#include "kernels/partial.inl"

namespace neurona::NEURONA_ISA {

// Calls body(i, n) for the vectors of [0, count): n lanes from i on, all of them but in the last
// call.
template <typename Body>
NEURONA_INLINE void for_each_vector(int64_t count, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, static_cast<int>(count - i));
}

// The gradient with its sign and with weight decay in it; a decay of 0 must not turn an infinite
// parameter into NaN.
NEURONA_INLINE Vec decayed_gradient(Vec g, Vec p, float sign, float weight_decay) {
  g = broadcast(sign) * g;
  return weight_decay != 0 ? g + broadcast(weight_decay) * p : g;
}

}  // namespace neurona::NEURONA_ISA
