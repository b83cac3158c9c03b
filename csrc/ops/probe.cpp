#include "ops/probe.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "core/arena.h"
#include "core/errors.h"
#include "kernels/select.h"

namespace neurona {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Plain threads instead of the pool: the number is the caller's choice here.
template <typename Body>
void run_threads(int threads, const Body& body) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(body, i);
  body(0);
  for (auto& other : others) other.join();
}

void check_threads(const char* op, int threads) {
  if (threads < 1 || threads > 1024)
    fail_value(op, "threads must be between 1 and 1024, got ", threads);
}

}  // namespace

double measure_fma_peak(double seconds, int threads, bool sustained) {
  check_threads("measure_fma_peak", threads);
  if (!(seconds > 0 && seconds <= 60))
    fail_value("measure_fma_peak", "seconds must be in (0, 60], got ", seconds);
  const auto multiply_adds = kernels().probe.multiply_adds;
  std::vector<double> rates(threads);
  run_threads(threads, [&](int thread) {
    constexpr int64_t kIterations = 20000;  // about 100 microseconds a round
    float sink = 0;
    std::vector<double> rounds;
    const auto start = Clock::now();
    do {
      const auto round = Clock::now();
      const auto flops = multiply_adds(kIterations, &sink);
      rounds.push_back(static_cast<double>(flops) / seconds_since(round));
    } while (seconds_since(start) < seconds);
    std::sort(rounds.begin(), rounds.end());
    rates[thread] = sustained ? rounds[rounds.size() / 2] : rounds.back();
  });
  double total = 0;
  for (double rate : rates) total += rate;
  return total;
}

double measure_bandwidth(int64_t mebibytes, int threads) {
  check_threads("measure_bandwidth", threads);
  if (mebibytes < 1 || mebibytes > 4096)
    fail_value("measure_bandwidth", "mebibytes must be between 1 and 4096, got ", mebibytes);
  const int64_t count = mebibytes * (1 << 20) / 4;
  Scratch<float> a(count), b(count), c(count);
  const auto triad = kernels().probe.triad;
  double best = 0;
  for (int round = 0; round < 6; ++round) {
    const auto start = Clock::now();
    run_threads(threads, [&](int thread) {
      const int64_t chunk = count / threads / 64 * 64, begin = thread * chunk;
      if (round == 0) {
        std::fill_n(b.data() + begin, chunk, 1.0f);
        std::fill_n(c.data() + begin, chunk, 2.0f);
      }
      triad(a.data() + begin, b.data() + begin, c.data() + begin, 3.0f, chunk);
    });
    const int64_t bytes = 16 * (count / threads / 64 * 64) * threads;
    if (round > 0) best = std::max(best, static_cast<double>(bytes) / seconds_since(start));
  }
  return best;
}

}  // namespace neurona
