// Runs CUDA kernels on the host: one block or one cluster of blocks at a time, a fibre for each of
// their threads.
//
// What hardware leaves open is chosen to be as hostile as it may be: threads run in the order of
// the schedule, each until it must wait; shared memory starts as NaN; and a wait that can never end
// is an error that names who waits where. A thread that waits costs 10 to 20 ns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace neurona::emulation {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

struct Extent3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr Extent3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr uint64_t count() const { return uint64_t{x} * y * z; }
};

// Where the running thread stands; the kernels see it as threadIdx, blockIdx, blockDim and gridDim.
struct Position {
  Index3 thread, block;
  Extent3 block_extent, grid_extent;
};

extern const Position* running;  // null outside of kernels
inline const Position& position() { return *running; }

// A place in a kernel that makes threads wait.
struct Site {
  const char* what = "";
  const char* file = "";
  int line = 0;
};
std::string describe(const Site& site);

constexpr int kWarp = 32;
constexpr unsigned kMostThreads = 1024;
constexpr size_t kMostStaticSharedBytes = 48 * 1024;  // of a block's declarations
constexpr unsigned kMostClusterBlocks = 8;            // that every device with clusters can run

// __syncthreads: waits for every thread of the block that has not returned. All must wait at the
// same place.
void barrier(const Site& site);

// What lanes of a warp do together: waits for the lanes of `mask`, all of which must come to the
// same place with the same mask. The last one calls `finish` with what each of them offers, by
// lane.
using Finish = void (*)(uint32_t mask, void* const* offers);
void exchange(const Site& site, uint32_t mask, void* offer, Finish finish);

// What the 128 threads of a warpgroup do together: as exchange(), for all of them. `first` is the
// first one's index in the block.
constexpr int kWarpgroup = 128;
using FinishGroup = void (*)(size_t first, void* const* offers);
void meet(const Site& site, void* offer, FinishGroup finish);

// Blocks of a cluster: which of them is running, and a barrier of all threads of all of them that
// have not returned. Warps must come as a whole.
unsigned cluster_rank();
void cluster_barrier(const Site& site);

// An arrival at the mbarrier that lies at the same place in block `rank` of the cluster.
void arrive_at(const Site& site, uint64_t* barrier, unsigned rank);

// Waits until ready(what); the thread's turn may come much later.
using Ready = bool (*)(const void* what);
void wait_until(const Site& site, Ready ready, const void* what);

// Shared memory that belongs to one declaration in a kernel, the same for all threads of a block.
void* shared_memory(const void* declaration, size_t bytes);
void* dynamic_shared_memory();

// Ends the kernel with an error unless the address lies in the block's shared memory and is a
// multiple of `alignment`.
void check_shared(const Site& site, const void* memory, size_t alignment);

// Unless the address lies elsewhere.
void check_not_shared(const Site& site, const void* memory);

// Ends the kernel with an error; the launch throws it as std::runtime_error.
[[noreturn]] void fail(const Site& site, const char* reason);

// In which order the threads of a block, the blocks of a cluster and those of a grid take their
// turns.
enum class Order { kForward, kReverse, kShuffled };
struct Schedule {
  Order order = Order::kForward;
  uint64_t seed = 0;  // of kShuffled
};
void set_schedule(const Schedule& schedule);

struct LaunchShape {
  const char* kernel;
  Extent3 grid, block;
  size_t dynamic_bytes;
  unsigned cluster_blocks;  // neighbours along x that run at once; the grid is a multiple of them
  bool overlaps;  // then every thread waits for earlier kernels before it touches their memory
};

// Calls body() for each thread of each block; launches of several host threads take turns.
// std::runtime_error for what a launch or a kernel does wrong, naming the kernel.
void run(const LaunchShape& shape, void (*body)(void*), void* argument);

// Until the first cluster has come here as a whole, a kernel that overlaps finds the memory of the
// device closed. A thread that ends without having been here is an error.
void wait_for_earlier_kernels();

// Makes a call that work on the device consists of, or notes it while this thread captures a step.
void submit(const std::function<void()>& call);

}  // namespace neurona::emulation
