// Two blocks of a cluster that load tiles for each other, right or with one fault planted in it;
// test_cuda_cluster_emulation.py says what must come of each.
//
// y[block, line] = sum over depth of x[cluster, line, depth]. Both blocks of a cluster need all of
// its 64 lines: each loads 32 of them for both, steps of 32 elements into a ring of two stages. One
// warp orders them, two sum them.
#include "cuda/platform/device_memory.h"
#include "cuda/ptx/cluster.cuh"
#include "cuda/ptx/tensor_load.cuh"
#include "planted_hopper.h"

namespace neurona {
namespace {

constexpr unsigned kClusters = 2, kBlocks = 2, kSummingWarps = 2;
constexpr int kThreads = (1 + kSummingWarps) * kWarpSize, kLines = kSummingWarps * kWarpSize;
constexpr int kStep = kTileLineBytes / 4, kStages = 2, kAlignment = 1024;
constexpr int kTileBytes = kLines * kTileLineBytes, kPartBytes = kTileBytes / kBlocks;
constexpr int kSharedBytes = kStages * kTileBytes + kAlignment;

enum Fault {
  kNone,
  // Right as well.
  kAnnouncesLate,
  kDeclaresMore,
  kLoaderReturns,
  // Of the launch.
  kGridNoMultiple,
  kTooManyBlocks,
  kNoBlocks,
  // Of the barriers of the cluster.
  kNoFirstBarrier,
  kNoLastBarrier,
  kHalfAWarp,
  kDifferentPlaces,
  kPeerReturns,
  // Of the mbarriers and transfers.
  kOwnArrivalsOnly,
  kRankBeyond,
  kSetEmpty,
  kSetBeyond,
  kStepNotAnnounced,
  kPartMissing,
  kPartTwice,
  kNotPublished,
  kFewerBytes,
  kMoreBytes,
  kFewerBytesLate,
  // Of memory.
  kBeyondShared,
  kReadsBeforeWaiting,
};
constexpr const char* kNames[] = {
    "none",
    "announces_late",
    "declares_more",
    "loader_returns",
    "grid_no_multiple",
    "too_many_blocks",
    "no_blocks",
    "no_first_barrier",
    "no_last_barrier",
    "half_a_warp",
    "different_places",
    "peer_returns",
    "own_arrivals_only",
    "rank_beyond",
    "set_empty",
    "set_beyond",
    "step_not_announced",
    "part_missing",
    "part_twice",
    "not_published",
    "fewer_bytes",
    "more_bytes",
    "fewer_bytes_late",
    "beyond_shared",
    "reads_before_waiting",
};

struct Ring {
  unsigned char* memory;
  Barrier *full, *empty;
};

__device__ bool announces_late(int fault) {
  return (fault == kAnnouncesLate || fault == kFewerBytesLate) && cluster_rank() == 1;
}

__device__ void load(int fault, int steps, const TensorMap& map, const Ring& ring) {
  const unsigned rank = cluster_rank(), cluster = blockIdx.x / kBlocks;
  const unsigned ranks = fault == kSetEmpty ? 0 : fault == kSetBeyond ? 7 : 3;
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages;
    unsigned char* tile = ring.memory + stage * kTileBytes;
    wait(ring.empty[stage], step / kStages % 2 ^ 1);
    // The other block's part of this step may be here before it was announced.
    const bool is_late = announces_late(fault) && step > 0;
    if (is_late) wait(ring.full[(step - 1) % kStages], (step - 1) / kStages % 2);
    if (fault == kStepNotAnnounced && rank == 1 && step == steps - 1) break;
    const int announced = fault == kFewerBytes                  ? kPartBytes
                          : fault == kMoreBytes                 ? kTileBytes + 16
                          : is_late && fault == kFewerBytesLate ? kPartBytes / 2
                                                                : kTileBytes;
    arrive_expecting(ring.full[stage], announced);
    const bool is_missing = fault == kPartMissing && rank == 1 && step == steps - 1;
    const int times = is_missing ? 0 : fault == kPartTwice ? 2 : 1;
    for (int i = 0; i < times; ++i)
      load_tile_for(ranks, map, ring.full[stage], tile + rank * kPartBytes, step * kStep,
                    static_cast<int>(rank) * kLines / kBlocks, static_cast<int>(cluster));
  }
}

// Of a line of a swizzled tile.
__device__ float sum_of(const unsigned char* tile, int line) {
  float sum = 0;
  for (int i = 0; i < kStep; ++i) {
    const int place = (i / 4 ^ line % 8) * 16 + i % 4 * 4;
    sum += *reinterpret_cast<const float*>(tile + line * kTileLineBytes + place);
  }
  return sum;
}

__device__ float add_steps(int fault, int steps, const Ring& ring, int line) {
  float sum = 0;
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages;
    wait(ring.full[stage], step / kStages % 2);
    sum += sum_of(ring.memory + stage * kTileBytes, line);
    __syncwarp();
    if (threadIdx.x % kWarpSize != 0) continue;
    if (fault == kOwnArrivalsOnly) {
      arrive(ring.empty[stage]);
    } else {
      for (unsigned rank = 0; rank < kBlocks; ++rank)
        arrive_at(ring.empty[stage], fault == kRankBeyond ? rank + 1 : rank);
    }
  }
  return sum;
}

__device__ void make_barriers(int fault, const Ring& ring) {
  for (int stage = 0; stage < kStages; ++stage) {
    init_barrier(ring.full[stage], 1);
    init_barrier(ring.empty[stage],
                 fault == kOwnArrivalsOnly ? kSummingWarps : kSummingWarps * kBlocks);
  }
  if (fault != kNotPublished) publish_barriers();
}

// Blocks of a cluster that come to an array by different ways find it at the same place.
__device__ void declare_more() {
  if (cluster_rank() != 1) return;
  NEURONA_SHARED(float, more, [100]);
  more[threadIdx.x] = 0;
}

__device__ void leave_together(int fault) {
  __syncwarp();
  if (fault == kNoLastBarrier || (fault == kHalfAWarp && threadIdx.x % 2 == 1)) return;
  if (fault == kDifferentPlaces && cluster_rank() == 1)
    cluster_barrier();  // which is not the one below
  else
    cluster_barrier();
}

__global__ void sums_of_lines(int fault, int steps, const __grid_constant__ TensorMap map,
                              float* y) {
  if (fault == kReadsBeforeWaiting && cluster_rank() == 1) y[0] = 0;
  wait_for_earlier_kernels();
  if (fault == kDeclaresMore) declare_more();
  NEURONA_DYNAMIC_SHARED(unsigned char, memory);
  NEURONA_SHARED(Barrier, full, [kStages]);
  NEURONA_SHARED(Barrier, empty, [kStages]);
  const unsigned beyond = shared_address(memory) % kAlignment;
  const Ring ring{memory + (beyond ? kAlignment - beyond : 0), full, empty};
  if (fault == kBeyondShared && cluster_rank() == 1) memory[kSharedBytes] = 0;
  if (threadIdx.x == 0) make_barriers(fault, ring);
  if (fault == kNoFirstBarrier)
    __syncthreads();
  else
    cluster_barrier();
  if (fault == kPeerReturns && cluster_rank() == 1) return;
  const int line = static_cast<int>(threadIdx.x) - kWarpSize;
  if (line >= 0)
    y[blockIdx.x * kLines + line] = add_steps(fault, steps, ring, line);
  else if (threadIdx.x == 0)
    load(fault, steps, map, ring);
  if (fault == kLoaderReturns && line < 0) return;
  leave_together(fault);
}

Launch shape_of(int fault) {
  const unsigned blocks = kClusters * kBlocks - (fault == kGridNoMultiple);
  Launch shape{dim3(blocks), dim3(kThreads), kSharedBytes};
  shape.cluster_blocks = fault == kTooManyBlocks ? 9 : fault == kNoBlocks ? 0 : kBlocks;
  return overlapping(shape);
}

}  // namespace

std::vector<std::string> cluster_faults() { return {std::begin(kNames), std::end(kNames)}; }

std::vector<float> run_clusters(const std::string& name, const std::vector<float>& x) {
  int fault = 0;
  while (kNames[fault] != name) ++fault;
  const auto depth = static_cast<int64_t>(x.size() / (kClusters * kLines));
  const Workspace device_x(x.size() * sizeof(float));
  const Workspace device_y(kClusters * kBlocks * kLines * sizeof(float));
  copy_to_device(device_x.as<void>(), x.data(), x.size() * sizeof(float));
  const TensorMap map =
      make_tensor_map(MappedLines{device_x.as<const void>(), depth, kLines, kClusters, 4 * depth,
                                  kLines / static_cast<int>(kBlocks), MapElement::kTf32});
  launch(name.c_str(), sums_of_lines, shape_of(fault), fault,
         static_cast<int>(divide_up(depth, kStep)), map, device_y.as<float>());
  std::vector<float> y(kClusters * kBlocks * kLines);
  copy_to_host(y.data(), device_y.as<float>(), y.size() * sizeof(float));
  return y;
}

}  // namespace neurona
