// Philox4x32-10, a counter-based generator (Salmon et al. 2011), and what is drawn from it.
#pragma once

#include <stdint.h>

namespace neurona {

// The numbers of one (seed, offset) pair. Block j is Philox of the counter (j, offset) under the
// key `seed`, each as low and high 32 bits; word i is word i % 4 of block i / 4.
struct RandomStream {
  uint64_t seed, offset;
};

struct RandomKernels {
  // In all of them the output holds elements first_block * 4 ... + count of the stream.
  void (*words)(const RandomStream& stream, int64_t first_block, int64_t count, uint32_t* out);
  // low + range * u with u = (word >> 8) 2^-24, in double, rounded once.
  void (*uniform)(const RandomStream& stream, int64_t first_block, int64_t count, double low,
                  double range, float* out);
  // mean + std * z, z by Box and Muller's method (1958) on each pair of words.
  void (*normal)(const RandomStream& stream, int64_t first_block, int64_t count, float mean,
                 float std, float* out);
  // y[i] = x[i] * scale where (word i >> 8) >= threshold, else 0.
  void (*dropout)(const RandomStream& stream, int64_t first_block, int64_t count, const float* x,
                  int32_t threshold, float scale, float* y);
};

}  // namespace neurona
