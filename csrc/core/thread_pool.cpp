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

// Each thread has a contiguous share of a job's chunks, the same part of every job: what it wrote
// in one op it reads in the next from its own caches (a step of LeNet-5 is 1.1 to 1.2 times as fast
// on two cores without a common L3, and as fast as before on two with one). Who has ended its share
// takes chunks from the ends of others'.
//
// What is left of a share is its ticket, in one word: (job number, first chunk, end), counted from
// the share's beginning. A chunk is taken by advancing the ticket from either end. A worker that
// comes late to a job fails to: nothing is left, or the number has changed. So the caller only
// waits for chunks that are running.
class Pool {
 public:
  explicit Pool(int threads)
      : oversubscribed_(threads > thread_budget().affinity), shares_(threads) {
    workers_.reserve(threads - 1);
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    {
      std::lock_guard lock(sleep_mutex_);
      stop_.store(true);
      for (Share& share : shares_) share.ticket.store(ticket_of(job_ + 1, 0));
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(shares_.size()); }

  // Only one thread at a time may call this.
  void run(const Body& body, int64_t count, int64_t chunks) {
    const uint64_t job = ++job_;
    // Acquired before a ticket is advanced: who sees any of these sees that nothing is left of the
    // job before.
    body_.store(&body, std::memory_order_release);
    count_.store(count, std::memory_order_release);
    chunks_.store(chunks, std::memory_order_release);
    done_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
    for (int i = threads() - 1; i >= 0; --i)
      shares_[i].ticket.store(ticket_of(job, first_chunk(i + 1, chunks) - first_chunk(i, chunks)),
                              std::memory_order_release);
    // Either this thread sees who sleeps, or who falls asleep sees the tickets.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (sleepers_.load() > 0) {
      {
        std::lock_guard lock(sleep_mutex_);
      }
      wake_.notify_all();
    }
    take_chunks(0, job);
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
  // A ticket: 48 bits of job number, 8 bits of first chunk, 8 bits of end.
  static uint64_t ticket_of(uint64_t job, int64_t chunks) {
    return job << 16 | static_cast<uint64_t>(chunks);
  }
  static uint64_t job_of(uint64_t ticket) { return ticket >> 16; }
  static int64_t first_of(uint64_t ticket) { return static_cast<int64_t>(ticket >> 8 & 255); }
  static int64_t end_of(uint64_t ticket) { return static_cast<int64_t>(ticket & 255); }

  // Rounded up: of few chunks the caller, who is awake, has the first.
  int64_t first_chunk(int thread, int64_t chunks) const {
    return (thread * chunks + threads() - 1) / threads();
  }

  void take_chunks(int thread, uint64_t job) {
    int64_t taken = 0;
    for (int i = 0; i < threads(); ++i)
      while (take_chunk((thread + i) % threads(), job, i == 0)) ++taken;
    if (taken > 0) done_.fetch_add(taken, std::memory_order_release);
  }

  // Runs a chunk of a thread's share, the first or the last one; false if none is left.
  bool take_chunk(int thread, uint64_t job, bool first) {
    std::atomic<uint64_t>& left = shares_[thread].ticket;
    uint64_t ticket = left.load(std::memory_order_acquire);
    while (job_of(ticket) == job && first_of(ticket) < end_of(ticket)) {
      // These belong to `job` if the ticket can be advanced: they change when nothing is left.
      const Body* body = body_.load(std::memory_order_acquire);
      const int64_t count = count_.load(std::memory_order_acquire),
                    chunks = chunks_.load(std::memory_order_acquire);
      const uint64_t next = first ? ticket + (1 << 8) : ticket - 1;
      if (!left.compare_exchange_weak(ticket, next, std::memory_order_acq_rel,
                                      std::memory_order_acquire))
        continue;
      run_chunk(*body, count, chunks,
                first_chunk(thread, chunks) + (first ? first_of(ticket) : end_of(ticket) - 1));
      return true;
    }
    return false;
  }

  void run_chunk(const Body& body, int64_t count, int64_t chunks, int64_t chunk) {
    // Sizes differ by at most one item, and larger ones are spread over the threads' shares.
    const auto first_item = [&](int64_t of) {
      return count / chunks * of + count % chunks * of / chunks;
    };
    inside_parallel_region = true;
    try {
      const DenormalScope scope(flush_denormal());
      body(first_item(chunk), first_item(chunk + 1));
    } catch (...) {
      std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel_region = false;
  }

  void work(int thread) {
    for (uint64_t job = 0;;) {
      job = wait_for_job_after(job, shares_[thread].ticket);
      if (stop_.load()) return;
      take_chunks(thread, job);
    }
  }

  uint64_t wait_for_job_after(uint64_t seen, const std::atomic<uint64_t>& ticket) {
    uint64_t job = seen;
    const auto changed = [&] {
      job = job_of(ticket.load(std::memory_order_acquire));
      return job != seen;
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
    std::atomic_thread_fence(std::memory_order_seq_cst);
    wake_.wait(lock, changed);
    sleepers_.fetch_sub(1);
    return job;
  }

  struct Share {
    alignas(128) std::atomic<uint64_t> ticket{0};
  };

  // More threads than processors: who polls may hold the processor that a piece of the job needs.
  const bool oversubscribed_;
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  uint64_t job_ = 0;
  alignas(128) std::atomic<const Body*> body_{nullptr};
  std::atomic<int64_t> count_{0}, chunks_{0};
  std::exception_ptr error_;
  std::mutex error_mutex_;
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
