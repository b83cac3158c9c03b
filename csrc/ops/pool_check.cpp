#include "ops/pool_check.h"

#include <algorithm>
#include <array>
#include <atomic>

#include "core/errors.h"
#include "core/thread_pool.h"
#include "core/work_board.h"

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

int64_t count_wrong_boards(int64_t boards) {
  if (boards < 0) fail_value("count_wrong_boards", "boards must not be negative, got ", boards);
  constexpr int64_t kChunks = 3, kStages = 3, kPieces = 8;
  int64_t wrong = 0;
  for (int64_t i = 0; i < boards; ++i) {
    // Plain numbers, not atomic ones: that a piece's stages see each other's writes is part of the
    // promise.
    std::array<int64_t, kChunks * kPieces> stage_of{};
    std::atomic<int64_t> faults{0};
    WorkBoard board(kChunks, kStages, kPieces);
    parallel_for(num_threads(), 1, [&](int64_t, int64_t) {
      int64_t prepared_chunk = -1, prepared_stage = -1;
      board.take_part(
          [&](int64_t chunk, int64_t stage) {
            prepared_chunk = chunk;
            prepared_stage = stage;
          },
          [&](int64_t chunk, int64_t stage, int64_t piece) {
            int64_t& reached = stage_of[chunk * kPieces + piece];
            faults += reached != stage || prepared_chunk != chunk || prepared_stage != stage;
            reached = stage + 1;
          });
    });
    wrong += faults > 0 || std::any_of(stage_of.begin(), stage_of.end(),
                                       [](int64_t stage) { return stage != kStages; });
  }
  return wrong;
}

}  // namespace neurona
