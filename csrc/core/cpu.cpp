#include "core/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/errors.h"

namespace neurona {
namespace {

int affinity_count() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

// Quota of one cgroup folder in processors; 0 when it sets none. cgroup v2 writes "max 100000" or
// "150000 100000" into cpu.max, v1 has two files.
double quota_of(const std::string& folder) {
  std::ifstream v2(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period)
    return quota == "max" || period <= 0 ? 0 : std::strtod(quota.c_str(), nullptr) / period;
  double microseconds = 0;
  std::ifstream v1_quota(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
  if (v1_quota >> microseconds && v1_period >> period && microseconds > 0 && period > 0)
    return microseconds / period;
  return 0;
}

// The tightest quota from the process's own cgroup up to the root.
double cgroup_quota() {
  double tightest = 0;
  std::ifstream memberships("/proc/self/cgroup");
  for (std::string line; std::getline(memberships, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers.find("cpu") == std::string::npos) continue;
    const std::string root = controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
    std::string path = line.substr(second + 1);
    while (true) {
      const double quota = quota_of(root + path);
      if (quota > 0 && (tightest == 0 || quota < tightest)) tightest = quota;
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/'));
    }
  }
  return tightest;
}

// A positive number from the environment, 0 if the variable is unset or empty.
int threads_from_environment(const char* variable, bool strict) {
  const char* text = std::getenv(variable);
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end == '\0' && value >= 1 && value <= 1024) return static_cast<int>(value);
  if (strict)
    fail_value("num_threads", variable, " must be a whole number between 1 and 1024, got '", text,
               "'");
  return 0;
}

ThreadBudget find_budget() {
  ThreadBudget budget{1, affinity_count(), cgroup_quota(), ""};
  std::ostringstream reason;
  if (const int own = threads_from_environment("NEURONA_NUM_THREADS", true)) {
    budget.threads = own;
    reason << "NEURONA_NUM_THREADS=" << own;
  } else if (const int omp = threads_from_environment("OMP_NUM_THREADS", false)) {
    budget.threads = omp;
    reason << "OMP_NUM_THREADS=" << omp;
  } else {
    budget.threads = budget.affinity;
    reason << budget.affinity << " processors in the affinity mask";
    if (budget.quota > 0 && budget.quota < budget.threads) {
      budget.threads = std::max(1, static_cast<int>(budget.quota));
      reason << ", cgroup quota of " << budget.quota;
    }
  }
  budget.reason = reason.str();
  return budget;
}

std::atomic<int64_t> cache_limit{-1};

// What Linux says of a data cache of the first processor ("1024K"); 0 where it does not.
int64_t cache_from_sysfs(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    std::ifstream level_file(folder + "level"), type_file(folder + "type"),
        size_file(folder + "size");
    int its_level = 0;
    std::string type;
    int64_t size = 0;
    char unit = 0;
    if (!(level_file >> its_level) || !(type_file >> type) || !(size_file >> size)) continue;
    if (its_level != level || type == "Instruction") continue;
    if (size_file >> unit) size <<= unit == 'K' ? 10 : unit == 'M' ? 20 : 0;
    return size;
  }
  return 0;
}

// sysconf comes second: on AMD it has been seen to give the L3 of all sockets' chiplets (384 MiB)
// where a core reaches 32 MiB.
int64_t cache_size(int level, int sysconf_name, int64_t fallback) {
  if (const int64_t size = cache_from_sysfs(level); size > 0) return size;
  const long size = sysconf_name >= 0 ? sysconf(sysconf_name) : 0;
  return size > 0 ? size : fallback;
}

}  // namespace

bool cpu_supports(const char* isa) {
  if (!std::strcmp(isa, "baseline")) {
#if defined(__x86_64__)
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#else
    return true;
#endif
  }
#if defined(__x86_64__)
  // The compiler's builtin also asks the operating system (XGETBV) whether it saves the wide
  // registers.
  if (!std::strcmp(isa, "avx2"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!std::strcmp(isa, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma");
#elif defined(__aarch64__)
  if (!std::strcmp(isa, "neon")) return true;
#endif
  return false;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  return "unknown";
}

const CacheSizes& cache_sizes() {
#if defined(_SC_LEVEL1_DCACHE_SIZE)
  constexpr int kNames[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE};
#else
  constexpr int kNames[] = {-1, -1, -1};
#endif
  static const CacheSizes sizes{cache_size(1, kNames[0], 32 << 10),
                                cache_size(2, kNames[1], 512 << 10),
                                cache_size(3, kNames[2], 8 << 20)};
  return sizes;
}

bool outgrows_caches(int64_t bytes) {
  const int64_t limit = cache_limit.load(std::memory_order_relaxed);
  return bytes > (limit < 0 ? cache_sizes().l3 : limit);
}

void set_cache_limit(int64_t bytes) { cache_limit.store(bytes, std::memory_order_relaxed); }

const ThreadBudget& thread_budget() {
  static const ThreadBudget budget = find_budget();
  return budget;
}

}  // namespace neurona
