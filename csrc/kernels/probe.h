// What the machine can do at best: the yardsticks of the benchmark.
#pragma once

#include <stdint.h>

namespace neurona {

struct ProbeKernels {
  // Runs `iterations` rounds of independent multiply-adds on registers; returns the flops done.
  // `sink` is where the chains start and where their sum ends: set it to 0.
  int64_t (*multiply_adds)(int64_t iterations, float* sink);
  // a[i] = b[i] + s * c[i] for i < count (a multiple of 64): 12 bytes of traffic per element, 16
  // with the write-allocate read.
  void (*triad)(float* a, const float* b, const float* c, float s, int64_t count);
};

}  // namespace neurona
