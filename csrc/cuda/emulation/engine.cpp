// Launches, and what kernels call by CUDA's names.
#include "cuda/emulation/engine.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>

#include "cuda/platform/capability.h"
#include "cuda/emulation/block.h"
#include "cuda/emulation/capability.h"
#include "cuda/emulation/cluster.h"
#include "cuda/emulation/device_memory.h"
#include "cuda/emulation/late_copies.h"
#include "cuda/emulation/turns.h"
#include "cuda/emulation/usage.h"

namespace neurona::emulation {
namespace {

std::mutex one_launch;
Schedule chosen_schedule;
std::atomic<int64_t> launch_count;

// What holds while a host thread launches a kernel.
class Launching {
 public:
  explicit Launching(const LaunchShape& shape) {
    const char* kernel = shape.kernel;
    if (inside_) {
      std::fprintf(stderr, "neurona, emulated device: a kernel launches %s\n", kernel);
      std::abort();
    }
    one_launch.lock();
    inside_ = true;
    if (!shape.overlaps) open_memory();
  }
  ~Launching() {
    access_.reset();
    running = nullptr;
    inside_ = false;
    one_launch.unlock();
  }
  Launching(const Launching&) = delete;
  Launching& operator=(const Launching&) = delete;

  static bool memory_is_open() { return access_.has_value(); }
  static void open_memory() {
    if (!access_) access_.emplace();
  }

 private:
  static inline thread_local bool inside_ = false;
  static inline std::optional<DeviceMemoryAccess> access_;  // of the one launch
};

void check(const Call& call) {
  const Extent3 &grid = call.grid, &block = call.block;
  const unsigned clusters = call.cluster_blocks;
  std::ostringstream text;
  if (block.count() == 0 || block.count() > kMostThreads || block.z > 64)
    text << "a block has 1 to " << kMostThreads << " threads, 64 at most along z, got " << block.x
         << " x " << block.y << " x " << block.z;
  else if (grid.count() == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    text << "a grid has 1 to 2147483647 x 65535 x 65535 blocks, got " << grid.x << " x " << grid.y
         << " x " << grid.z;
  else if (call.dynamic_bytes > most_shared_bytes())
    text << "a block has " << most_shared_bytes() << " bytes of shared memory at most, got "
         << call.dynamic_bytes;
  else if (clusters == 0 || clusters > kMostClusterBlocks)
    text << "a cluster has 1 to " << kMostClusterBlocks << " blocks, got " << clusters;
  else if (clusters > 1 && device_capability() < 90)
    text << "devices of sm_" << device_capability() << " have no clusters";
  else if (grid.x % clusters != 0)
    text << "a grid of " << grid.x << " blocks along x is no multiple of clusters of " << clusters;
  else
    return;
  throw std::runtime_error(std::string(call.kernel) + ": " + text.str());
}

void run_blocks(const Call& call) {
  Turns turns(chosen_schedule);
  cluster().begin_launch(call);
  const Extent3& grid = call.grid;
  for (uint64_t i : turns.of(grid.count() / call.cluster_blocks)) {
    const uint64_t first = i * call.cluster_blocks;
    cluster().run(
        {static_cast<unsigned>(first % grid.x), static_cast<unsigned>(first / grid.x % grid.y),
         static_cast<unsigned>(first / grid.x / grid.y)},
        turns);
  }
}

}  // namespace

void run(const LaunchShape& shape, void (*body)(void*), void* argument) {
  const Call call{shape, body, argument};
  check(call);
  ++launch_count;
  finish_copies();
  const Launching launching(shape);
  try {
    run_blocks(call);
  } catch (...) {
    Launching::open_memory();
    restore_gaps();
    throw;
  }
  if (!restore_gaps())
    throw std::runtime_error(std::string(shape.kernel) +
                             ": wrote beyond the end of a device array");
}

int64_t launches() { return launch_count; }

void set_schedule(const Schedule& schedule) {
  const std::lock_guard<std::mutex> lock(one_launch);
  chosen_schedule = schedule;
}

void barrier(const Site& site) { block().barrier(site); }

void wait_for_earlier_kernels() {
  if (!block().overlaps()) return;
  block().has_waited();
  if (Launching::memory_is_open()) return;
  cluster().barrier({"wait_for_earlier_kernels", "", 0});
  Launching::open_memory();
}

void exchange(const Site& site, uint32_t mask, void* offer, Finish finish) {
  block().exchange(site, mask, offer, finish);
}

void meet(const Site& site, void* offer, FinishGroup finish) { block().meet(site, offer, finish); }

void wait_until(const Site& site, Ready ready, const void* what) {
  block().wait_until(site, ready, what);
}

void fail(const Site& site, const char* reason) { block().fail(site, reason); }

void* shared_memory(const void* declaration, size_t bytes) {
  if (void* memory = block().shared.of_declaration(declaration)) return memory;
  void* memory = cluster().declare(declaration, bytes);
  if (!memory) block().fail({}, "declares more shared memory than a block has");
  return memory;
}

void check_shared(const Site& site, const void* memory, size_t alignment) {
  if (!block().shared.holds(memory, 1)) fail(site, "the address is not in shared memory");
  if (reinterpret_cast<uintptr_t>(memory) % alignment != 0)
    fail(site, "the address in shared memory is not aligned");
}

void check_not_shared(const Site& site, const void* memory) {
  if (block().shared.holds(memory, 1)) fail(site, "the address is in shared memory");
}

void* dynamic_shared_memory() { return block().shared.dynamic(); }

}  // namespace neurona::emulation
