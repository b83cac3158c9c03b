// What this machine offers: vector instructions, cache sizes, and how many threads the process may
// use.
#pragma once

#include <cstdint>
#include <string>

namespace neurona {

struct CacheSizes {
  int64_t l1d, l2, l3;  // bytes; l1d and l2 per core
};

struct ThreadBudget {
  int threads;   // min(affinity, floor(cgroup quota)), or what an environment variable says; at
                 // least 1
  int affinity;  // processors that the scheduler may run this process on
  double quota;  // processors that the cgroup grants; 0 when there is no limit
  std::string reason;  // one sentence
};

bool cpu_supports(const char* isa);  // "baseline", "avx2", "avx512", "neon"
std::string cpu_name();
const CacheSizes& cache_sizes();
// Whether a kernel that passes over so many bytes, reading and writing, leaves none of them in a
// cache: then its results are better stored past the caches (kernels/stream.inl). More than the L3,
// unless another limit was set: on a Zen 5 with 32 MiB, relu of 26 MB takes 0.78 of the time so,
// and of 13 MB as long either way.
bool outgrows_caches(int64_t bytes);
void set_cache_limit(int64_t bytes);  // for tests, and for measuring; below 0: the L3
const ThreadBudget&
thread_budget();  // found once; throws std::invalid_argument if NEURONA_NUM_THREADS is not a number

// Tells the core that this is a waiting loop.
inline void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace neurona
