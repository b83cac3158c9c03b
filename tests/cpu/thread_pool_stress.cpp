// Many small jobs for the thread pool, back to back and after pauses in which its workers fall
// asleep: each item must be visited once, and a body's exception must come out.
//
//   thread_pool_stress THREADS JOBS
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/thread_pool.h"

namespace {

constexpr int kMostItems = 5000, kFewItems = 40;  // most jobs are small: there the threads meet
constexpr int kFailEvery = 97, kPauseEvery = 2000, kResizeEvery = 20000;

int run(int threads, long jobs) {
  std::mt19937 random(0);
  neurona::set_num_threads(threads);
  for (long job = 0; job < jobs; ++job) {
    const auto items = static_cast<int64_t>(1 + random() % (job % 8 == 0 ? kMostItems : kFewItems));
    const auto grain = static_cast<int64_t>(1 + random() % 3);
    const bool fails = job % kFailEvery == 0;
    std::vector<int> visits(static_cast<size_t>(items));  // not atomic: two visits are a race
    bool failed = false;
    try {
      neurona::parallel_for(items, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        if (fails && begin == 0) throw std::runtime_error("on purpose");
      });
    } catch (const std::runtime_error&) {
      failed = true;
    }
    if (failed != fails) {
      std::printf("job %ld: an exception %s\n", job, fails ? "was lost" : "from nowhere");
      return 1;
    }
    for (int64_t i = 0; i < items; ++i)
      if (visits[static_cast<size_t>(i)] != 1) {
        std::printf("job %ld: item %ld of %ld visited %d times\n", job, static_cast<long>(i),
                    static_cast<long>(items), visits[static_cast<size_t>(i)]);
        return 1;
      }
    if (job % kPauseEvery == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 400));
    if (job % kResizeEvery == 0) {
      neurona::set_num_threads(threads + 1);
      neurona::parallel_for(kFewItems, 1, [](int64_t, int64_t) {});
      neurona::set_num_threads(threads);
    }
  }
  return 0;
}

}  // namespace

int main(int, char** arguments) { return run(std::atoi(arguments[1]), std::atol(arguments[2])); }
