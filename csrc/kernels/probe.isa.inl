#include "kernels/probe.h"

#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

// Twelve chains: at least latency (4) x ports (2) of them must be in flight to keep both
// multiply-add units busy.
constexpr int kChains = 12;

int64_t multiply_adds(int64_t iterations, float* sink) {
  // The chains start from a value that the compiler does not know: it would work out a chain that
  // starts at the fixed point 1 (1 * 0.999 + 0.001) beforehand, and eleven chains counted as
  // twelve. Every loop over `chain` must be unrolled, or the array lives in memory instead of
  // registers.
  Vec chain[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(*sink + static_cast<float>(i));
  Vec scale = broadcast(0.999f), shift = broadcast(0.001f);
  for (int64_t n = 0; n < iterations; ++n) {
    asm volatile("" : "+m"(*sink));  // keeps the compiler from folding iterations together
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * scale + shift;
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * scale + shift;
  }
  Vec total = chain[0];
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) total += chain[i];
  *sink = reduce_add(total);
  return iterations * kChains * 2 * 2 * kLanes;
}

void triad(float* a, const float* b, const float* c, float s, int64_t count) {
  const Vec scale = broadcast(s);
  for (int64_t i = 0; i < count; i += 4 * kLanes)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      store(a + i + j * kLanes, load(b + i + j * kLanes) + scale * load(c + i + j * kLanes));
}

}  // namespace

ProbeKernels probe_kernels() { return {multiply_adds, triad}; }

}  // namespace neurona::NEURONA_ISA
