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
#include "core/denormals.h"
#include "core/errors.h"

namespace neurona {
namespace {

// How long a worker polls for the next job before it sleeps. Within a training step the jobs follow
// each other in tens of microseconds, and a futex wake costs about 50 on a virtual machine; more
// would take the core from other processes.
constexpr auto kSpinTime = std::chrono::microseconds(100);

using Body = FunctionRef<void(int64_t, int64_t)>;

// A job is cut into this many chunks per thread, taken one after the other: on a shared machine the
// threads are not equally fast, and one that still wakes up is not waited for.
constexpr int kChunksPerThread = 4;

thread_local bool inside_parallel_region = false;

// Workers take chunks by advancing one ticket, (job number << kIndexBits) + next chunk. A worker
// that comes late to a job fails to advance it, because the number has changed; so the caller only
// waits for chunks that are running. Odd numbers are no jobs: between two of them the ticket is
// closed while the caller describes the next one. Left open at the end of the old one, it would
// admit a late worker to a chunk of the new one before that has begun.
class Pool {
 public:
  explicit Pool(int threads) : oversubscribed_(threads > thread_budget().affinity) {
    workers_.reserve(threads - 1);
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
  }

  ~Pool() {
    {
      std::lock_guard lock(sleep_mutex_);
      stop_.store(true);
      ticket_.fetch_add(uint64_t{2} << kIndexBits);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Only one thread at a time may call this.
  void run(const Body& body, int64_t count, int64_t chunks) {
    const uint64_t closed = job_of(ticket_.load(std::memory_order_relaxed)) + 1, job = closed + 1;
    ticket_.store(closed << kIndexBits, std::memory_order_relaxed);
    // Released after closing, acquired before advancing: who sees any of these sees a closed
    // ticket.
    body_.store(&body, std::memory_order_release);
    count_.store(count, std::memory_order_release);
    chunks_.store(chunks, std::memory_order_release);
    done_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
    ticket_.store(job << kIndexBits);  // sequentially consistent: ordered against sleepers_ below
    if (sleepers_.load() > 0) {
      {
        std::lock_guard lock(sleep_mutex_);
      }
      wake_.notify_all();
    }
    take_chunks(job);
    // The last chunks are running elsewhere; yield now and then in case one of them needs this very
    // core.
    for (int spins = 0; done_.load(std::memory_order_acquire) < chunks; ++spins) {
      if (spins < (oversubscribed_ ? 64 : 2000)) {
        cpu_pause();
      } else {
        std::this_thread::yield();
      }
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr int kIndexBits = 16;
  static uint64_t job_of(uint64_t ticket) { return ticket >> kIndexBits; }
  static bool is_job(uint64_t number) { return number % 2 == 0; }

  void take_chunks(uint64_t job) {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (job_of(ticket) == job) {
      // These belong to `job` if the ticket can be advanced: it is closed before they change.
      const Body* body = body_.load(std::memory_order_acquire);
      const int64_t count = count_.load(std::memory_order_acquire),
                    chunks = chunks_.load(std::memory_order_acquire);
      const auto chunk = static_cast<int64_t>(ticket & ((uint64_t{1} << kIndexBits) - 1));
      if (chunk >= chunks) return;
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
        continue;
      run_chunk(*body, count, chunks, chunk);
      done_.fetch_add(1, std::memory_order_release);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void run_chunk(const Body& body, int64_t count, int64_t chunks, int64_t chunk) {
    // Sizes differ by at most one item.
    const int64_t begin = count / chunks * chunk + std::min(chunk, count % chunks);
    const int64_t size = count / chunks + (chunk < count % chunks ? 1 : 0);
    inside_parallel_region = true;
    try {
      const DenormalScope scope(flush_denormal());
      body(begin, begin + size);
    } catch (...) {
      std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel_region = false;
  }

  void work() {
    for (uint64_t job = 0;;) {
      job = wait_for_job_after(job);
      if (stop_.load()) return;
      take_chunks(job);
    }
  }

  uint64_t wait_for_job_after(uint64_t seen) {
    uint64_t job = seen;
    const auto changed = [&] {
      job = job_of(ticket_.load(std::memory_order_acquire));
      return is_job(job) && job != seen;
    };
    const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
    do {
      for (int i = 0; i < 64; ++i) {
        if (changed()) return job;
        cpu_pause();
      }
      if (oversubscribed_) std::this_thread::yield();
    } while (std::chrono::steady_clock::now() < deadline);
    std::unique_lock lock(sleep_mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, changed);
    sleepers_.fetch_sub(1);
    return job;
  }

  // More threads than processors: who polls may hold the processor that a piece of the job needs.
  const bool oversubscribed_;
  std::vector<std::thread> workers_;
  std::atomic<const Body*> body_{nullptr};
  std::atomic<int64_t> count_{0}, chunks_{0};
  std::exception_ptr error_;
  std::mutex error_mutex_;
  alignas(128) std::atomic<uint64_t> ticket_{0};
  alignas(128) std::atomic<int64_t> done_{0};
  alignas(128) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
};

// All of this is heap-allocated and never destroyed: worker threads may outlive static destruction
// at interpreter exit, and a forked child must be able to drop a pool whose threads do not exist
// there.
struct PoolState {
  std::mutex mutex;
  Pool* pool = nullptr;
  std::atomic<int> requested{0};  // 0: the budget of this process
};

PoolState* state = new PoolState;

void forget_pool_in_child() {
  // The parent's mutexes may be held by threads that the child does not have: start anew and leak
  // the old state.
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
  if (n < 1 || n > 1024)
    fail_value("set_num_threads", "the number of threads must be between 1 and 1024, got ", n);
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
  const auto serial = [&] {
    const DenormalScope scope(flush_denormal());
    body(0, count);
  };
  const int threads = num_threads();
  const int64_t pieces =
      std::min<int64_t>(kChunksPerThread * threads, grain <= 1 ? count : count / grain);
  if (threads == 1 || pieces <= 1 || inside_parallel_region) return serial();
  std::unique_lock lock(state->mutex, std::try_to_lock);
  if (!lock.owns_lock()) return serial();
  if (!state->pool || state->pool->threads() != threads) {
    delete state->pool;
    state->pool = nullptr;
    state->pool = new Pool(threads);
  }
  state->pool->run(body, count, pieces);
}

}  // namespace neurona
