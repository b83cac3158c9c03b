#include "core/work_board.h"

#include <new>
#include <thread>

#include "core/cpu.h"

namespace neurona {
namespace {

// Waits a little, then gives the core away now and then: with more threads than cores, who is
// waited for may need this very one (a product of n = 1024 with 4 threads on 2 cores).
class Patience {
 public:
  void wait() {
    if (++waits_ < 64) {
      cpu_pause();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  int waits_ = 0;
};

}  // namespace

WorkBoard::WorkBoard(int64_t chunks, int64_t stages, int64_t pieces)
    : chunks_(chunks),
      stages_(stages),
      pieces_(pieces),
      unclaimed_(chunks * stages),
      ended_(chunks * pieces),
      claimed_(chunks * stages * pieces) {
  for (int64_t i = 0; i < chunks * stages; ++i)
    new (&unclaimed_[i]) std::atomic<int32_t>(static_cast<int32_t>(pieces));
  for (int64_t i = 0; i < chunks * pieces; ++i) new (&ended_[i]) std::atomic<int32_t>(0);
  for (int64_t i = 0; i < chunks * stages * pieces; ++i)
    new (&claimed_[i]) std::atomic<bool>(false);
}

int64_t WorkBoard::unclaimed(int64_t chunk, int64_t stage) const {
  return unclaimed_[chunk * stages_ + stage].load(std::memory_order_relaxed);
}

int64_t WorkBoard::ready(int64_t chunk, int64_t stage) const {
  int64_t count = 0;
  for (int64_t piece = 0; piece < pieces_; ++piece)
    count += ended_[chunk * pieces_ + piece].load(std::memory_order_relaxed) == stage &&
             !claimed_[(chunk * stages_ + stage) * pieces_ + piece].load(std::memory_order_relaxed);
  return count;
}

int64_t WorkBoard::chunk_to_help() const {
  int64_t best = -1, most = 0;
  for (int64_t chunk = 0; chunk < chunks_; ++chunk) {
    int64_t count = 0;
    for (int64_t stage = 0; stage < stages_; ++stage) count += unclaimed(chunk, stage);
    if (count > most) {
      best = chunk;
      most = count;
    }
  }
  return best;
}

bool WorkBoard::claim(int64_t chunk, int64_t stage, int64_t piece) {
  // Acquire: what the piece's earlier stages wrote is visible from here on.
  if (ended_[chunk * pieces_ + piece].load(std::memory_order_acquire) != stage) return false;
  std::atomic<bool>& claimed = claimed_[(chunk * stages_ + stage) * pieces_ + piece];
  if (claimed.load(std::memory_order_relaxed) || claimed.exchange(true, std::memory_order_relaxed))
    return false;
  unclaimed_[chunk * stages_ + stage].fetch_sub(1, std::memory_order_relaxed);
  return true;
}

// An owner begins with the first piece and waits for those whose earlier stage a helper still runs;
// a helper begins with the last one and never waits.
void WorkBoard::run_stage(int64_t chunk, int64_t stage, bool owner,
                          FunctionRef<void(int64_t, int64_t)> prepare,
                          FunctionRef<void(int64_t, int64_t, int64_t)> run) {
  if (owner ? unclaimed(chunk, stage) == 0 : ready(chunk, stage) < kHelpFrom) return;
  prepare(chunk, stage);
  for (Patience patience;; patience.wait()) {
    for (int64_t i = 0; i < pieces_; ++i) {
      const int64_t piece = owner ? i : pieces_ - 1 - i;
      if (!claim(chunk, stage, piece)) continue;
      run(chunk, stage, piece);
      ended_[chunk * pieces_ + piece].store(static_cast<int32_t>(stage + 1),
                                            std::memory_order_release);
    }
    if (!owner || unclaimed(chunk, stage) == 0) return;
  }
}

void WorkBoard::take_part(FunctionRef<void(int64_t, int64_t)> prepare,
                          FunctionRef<void(int64_t, int64_t, int64_t)> run) {
  int64_t chunk;
  while ((chunk = next_chunk_.fetch_add(1, std::memory_order_relaxed)) < chunks_)
    for (int64_t stage = 0; stage < stages_; ++stage) run_stage(chunk, stage, true, prepare, run);
  Patience patience;
  while ((chunk = chunk_to_help()) >= 0) {
    for (int64_t stage = 0; stage < stages_; ++stage) run_stage(chunk, stage, false, prepare, run);
    patience.wait();
  }
}

}  // namespace neurona
