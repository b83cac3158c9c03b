#include "ops/pool_check.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "core/errors.h"
#include "core/thread_pool.h"

namespace neurona {

int64_t count_wrong_jobs(int64_t jobs) {
  if (jobs < 0) fail_value("count_wrong_jobs", "jobs must not be negative, got ", jobs);
  // A job of few items before one of many is the hard case: a worker that is late for the first may
  // take the end of its items for the middle of the second's.
  constexpr std::array<int64_t, 4> kCounts = {2, 12, 3, 64};
  std::array<std::atomic<int>, 64> runs;
  int64_t wrong = 0;
  for (int64_t job = 0; job < jobs; ++job) {
    const int64_t count = kCounts[job % kCounts.size()];
    for (auto& times : runs) times.store(0, std::memory_order_relaxed);
    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) runs[i].fetch_add(1, std::memory_order_relaxed);
    });
    const auto ran = [](const std::atomic<int>& times, int expected) {
      return times.load(std::memory_order_relaxed) == expected;
    };
    wrong += !std::all_of(runs.begin(), runs.begin() + count, [&](auto& t) { return ran(t, 1); }) ||
             !std::all_of(runs.begin() + count, runs.end(), [&](auto& t) { return ran(t, 0); });
  }
  return wrong;
}

}  // namespace neurona
