#include "core/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/cpu.h"
#include "core/errors.h"

namespace neurona {
namespace {

// How long a worker polls for the next job before it sleeps. Within a training step the jobs follow each other in tens of
// microseconds, and a futex wake costs about 50 on a virtual machine; more would take the core from other processes.
constexpr auto kSpinTime = std::chrono::microseconds(100);

inline void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

using Body = FunctionRef<void(int64_t, int64_t)>;

struct Job {
  const Body* body = nullptr;
  int64_t count = 0;
  int parts = 0;

  void run_part(int part) const {
    // Piece sizes differ by at most one item.
    const int64_t begin = count / parts * part + std::min<int64_t>(part, count % parts);
    const int64_t size = count / parts + (part < count % parts ? 1 : 0);
    (*body)(begin, begin + size);
  }
};

thread_local bool inside_parallel_region = false;

class Pool {
 public:
  explicit Pool(int threads) {
    workers_.reserve(threads - 1);
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    {
      std::lock_guard lock(sleep_mutex_);
      stop_.store(true);
      epoch_.fetch_add(1);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(const Job& job) {
    job_ = job;
    error_ = nullptr;
    pending_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    epoch_.fetch_add(1);  // sequentially consistent: ordered against sleepers_ below
    if (sleepers_.load() > 0) {
      { std::lock_guard lock(sleep_mutex_); }
      wake_.notify_all();
    }
    run_guarded(0);
    // The workers are running or being woken; yield now and then in case one of them needs this very core.
    for (int spins = 0; pending_.load(std::memory_order_acquire) > 0; ++spins) {
      if (spins < 2000) {
        cpu_pause();
      } else {
        std::this_thread::yield();
      }
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run_guarded(int part) {
    if (part >= job_.parts) return;
    inside_parallel_region = true;
    try {
      job_.run_part(part);
    } catch (...) {
      std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel_region = false;
  }

  void work(int index) {
    uint64_t seen = 0;
    while (true) {
      wait_for_epoch_after(seen);
      seen = epoch_.load(std::memory_order_acquire);
      if (stop_.load()) return;
      run_guarded(index);
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  void wait_for_epoch_after(uint64_t seen) {
    const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
    do {
      for (int i = 0; i < 64; ++i) {
        if (epoch_.load(std::memory_order_acquire) != seen) return;
        cpu_pause();
      }
    } while (std::chrono::steady_clock::now() < deadline);
    std::unique_lock lock(sleep_mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, [&] { return epoch_.load() != seen; });
    sleepers_.fetch_sub(1);
  }

  std::vector<std::thread> workers_;
  Job job_;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  alignas(128) std::atomic<uint64_t> epoch_{0};
  alignas(128) std::atomic<int> pending_{0};
  alignas(128) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
};

// All of this is heap-allocated and never destroyed: worker threads may outlive static destruction at interpreter exit, and
// a forked child must be able to drop a pool whose threads do not exist there.
struct PoolState {
  std::mutex mutex;
  Pool* pool = nullptr;
  std::atomic<int> requested{0};  // 0: the budget of this process
};

PoolState* state = new PoolState;

void forget_pool_in_child() {
  // The parent's mutexes may be held by threads that the child does not have: start anew and leak the old state.
  const int requested = state->requested.load();
  state = new PoolState;
  state->requested.store(requested);
  inside_parallel_region = false;
}

const bool fork_handler_installed = pthread_atfork(nullptr, nullptr, forget_pool_in_child) == 0;

}  // namespace

int num_threads() {
  const int requested = state->requested.load(std::memory_order_relaxed);
  if (requested > 0) return requested;
  const int budget = thread_budget().threads;
  state->requested.store(budget);
  return budget;
}

void set_num_threads(int n) {
  if (n < 1 || n > 1024) fail_value("set_num_threads", "the number of threads must be between 1 and 1024, got ", n);
  std::lock_guard lock(state->mutex);
  state->requested.store(n);
  if (state->pool && state->pool->threads() != n) {
    delete state->pool;
    state->pool = nullptr;
  }
}

std::string thread_budget_reason() { return thread_budget().reason; }

void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t, int64_t)> body) {
  if (count <= 0) return;
  const int threads = num_threads();
  const int64_t pieces = std::min<int64_t>(threads, grain <= 1 ? count : count / grain);
  if (pieces <= 1 || inside_parallel_region) return body(0, count);
  std::unique_lock lock(state->mutex, std::try_to_lock);
  if (!lock.owns_lock()) return body(0, count);
  if (!state->pool || state->pool->threads() != threads) {
    delete state->pool;
    state->pool = nullptr;
    state->pool = new Pool(threads);
  }
  state->pool->run(Job{&body, count, static_cast<int>(pieces)});
}

}  // namespace neurona
