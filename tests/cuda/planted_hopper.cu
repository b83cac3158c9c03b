// A small product of tiles by TMA and wgmma, right or with one fault planted in it;
// test_cuda_hopper_emulation.py says what must come of each.
//
// y (64, 128) = a (64, depth) b (128, depth)^T in bfloat16. One warpgroup loads steps of 64
// elements into a ring of two stages, the other multiplies them, as packed_product.cuh does.
#include "planted_hopper.h"

#include "cuda/platform/device_memory.h"
#include "cuda/ptx/tensor_load.cuh"
#include "cuda/ptx/wgmma.cuh"

namespace neurona {
namespace {

constexpr int kRows = 64, kColumns = 128, kStep = 64, kStages = 2, kThreads = 256;
constexpr int kBytesA = kRows * kTileLineBytes, kBytesB = kColumns * kTileLineBytes;
constexpr int kStageBytes = kBytesA + kBytesB, kAlignment = 1024;

enum Fault {
  kNone,
  kNoWaitForFull,
  kNoWaitForEmpty,
  kWrongParityOfFull,
  kWrongParityOfEmpty,
  kFewerBytes,
  kMoreBytes,
  kNotPublished,
  kNotInitialised,
  kEveryThreadArrives,
  kNobodyArrives,
  kEarlyArrival,
  kLastStepNotLoaded,
  kLastStepNotUsed,
  kNoFence,
  kNoCommit,
  kNoWaitForProducts,
  kOneGroupLeft,
  kWrongNextProduct,
  kTileOfDescriptorMisaligned,
  kTileMisaligned,
  kTileBeyondShared,
  kWarpMissing,
  kDifferentDescriptors,
};
constexpr const char* kNames[] = {
    "none",
    "no_wait_for_full",
    "no_wait_for_empty",
    "wrong_parity_of_full",
    "wrong_parity_of_empty",
    "fewer_bytes",
    "more_bytes",
    "not_published",
    "not_initialised",
    "every_thread_arrives",
    "nobody_arrives",
    "early_arrival",
    "last_step_not_loaded",
    "last_step_not_used",
    "no_fence",
    "no_commit",
    "no_wait_for_products",
    "one_group_left",
    "wrong_next_product",
    "tile_of_descriptor_misaligned",
    "tile_misaligned",
    "tile_beyond_shared",
    "warp_missing",
    "different_descriptors",
};

struct Ring {
  unsigned char* memory;
  Barrier *full, *empty;
};

__device__ void load(int fault, int steps, const TensorMap& map_a, const TensorMap& map_b,
                     const Ring& ring) {
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages;
    const unsigned parity = step / kStages % 2;
    unsigned char* tile = ring.memory + stage * kStageBytes;
    if (fault == kTileMisaligned) tile += 128;
    if (fault == kTileBeyondShared && step == 1) tile += kStageBytes;
    if (fault == kLastStepNotLoaded && step == steps - 1) break;
    if (fault == kWrongParityOfEmpty)
      wait(ring.empty[stage], parity);
    else if (fault != kNoWaitForEmpty)
      wait(ring.empty[stage], parity ^ 1);
    const int announced = fault == kFewerBytes  ? kBytesA
                          : fault == kMoreBytes ? kStageBytes + 16
                                                : kStageBytes;
    arrive_expecting(ring.full[stage], announced);
    load_tile(map_a, ring.full[stage], tile, step * kStep, 0, 0);
    load_tile(map_b, ring.full[stage], tile + kBytesA, step * kStep, 0, 0);
  }
}

__device__ void multiply(int fault, int steps, const Ring& ring, WarpgroupSums<kColumns>& sums) {
  const bool speaks = threadIdx.x % kWarpSize == 0 || fault == kEveryThreadArrives;
  if (fault == kLastStepNotUsed) --steps;
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages;
    const unsigned parity = step / kStages % 2, wrong = fault == kWrongParityOfFull;
    if (fault != kNoWaitForFull) wait(ring.full[stage], parity ^ wrong);
    const unsigned char* tile = ring.memory + stage * kStageBytes;
    uint64_t a = AlongDepth::descriptor(fault == kTileOfDescriptorMisaligned ? tile + 512 : tile);
    const uint64_t b = AlongDepth::descriptor(tile + kBytesA);
    if (fault == kDifferentDescriptors && threadIdx.x % 128 == 77) a += AlongDepth::kNextProduct;
    if (fault != kNoFence) begin_products();
    for (int i = 0; i < 4; ++i) {
      const uint64_t next = fault == kWrongNextProduct ? 0 : i * AlongDepth::kNextProduct;
      multiply_tiles(Bfloat16{}, AlongDepth{}, sums, a + next, b + i * AlongDepth::kNextProduct,
                     step + i > 0);
    }
    if (fault != kNoCommit) commit_products();
    if (fault == kEarlyArrival && speaks) arrive(ring.empty[stage]);
    if (fault == kOneGroupLeft)
      wait_for_products<1>(sums);
    else if (fault != kNoWaitForProducts)
      wait_for_products<0>(sums);
    if (fault != kEarlyArrival && fault != kNobodyArrives && speaks) arrive(ring.empty[stage]);
  }
}

__global__ void product_of_tiles(int fault, int steps, const __grid_constant__ TensorMap map_a,
                                 const __grid_constant__ TensorMap map_b, float* y) {
  NEURONA_DYNAMIC_SHARED(unsigned char, memory);
  NEURONA_SHARED(Barrier, full, [kStages]);
  NEURONA_SHARED(Barrier, empty, [kStages]);
  const unsigned beyond = shared_address(memory) % kAlignment;
  const Ring ring{memory + (beyond ? kAlignment - beyond : 0), full, empty};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      if (fault != kNotInitialised || stage == 0) init_barrier(full[stage], 1);
      init_barrier(empty[stage], 4);
    }
    if (fault != kNotPublished) publish_barriers();
  }
  __syncthreads();
  if (threadIdx.x < 128) {
    release_registers<40>();
    if (threadIdx.x == 0) load(fault, steps, map_a, map_b, ring);
    return;
  }
  acquire_registers<232>();
  const int warp = threadIdx.x % 128 / kWarpSize, lane = threadIdx.x % kWarpSize;
  if (fault == kWarpMissing && warp == 3) return;
  WarpgroupSums<kColumns> sums;
  multiply(fault, steps, ring, sums);
  for (int j = 0; j < kColumns / 8; ++j)
    for (int part = 0; part < 4; ++part) {
      const int row = 16 * warp + lane / 4 + 8 * (part / 2),
                column = 8 * j + 2 * (lane % 4) + part % 2;
      y[row * kColumns + column] = sums[j][part];
    }
}

// A matrix of floats as bfloat16 on the device.
Workspace& to_bfloat16(Workspace& memory, const std::vector<float>& values) {
  std::vector<uint16_t> elements;
  for (float value : values) elements.push_back(Bfloat16::from_float(value));
  copy_to_device(memory.as<void>(), elements.data(), elements.size() * sizeof elements[0]);
  return memory;
}

}  // namespace

std::vector<std::string> hopper_faults() { return {std::begin(kNames), std::end(kNames)}; }

std::vector<float> run_hopper(const std::string& name, const std::vector<float>& a,
                              const std::vector<float>& b) {
  int fault = 0;
  while (kNames[fault] != name) ++fault;
  const auto depth = static_cast<int64_t>(a.size() / kRows);
  Workspace device_a(a.size() * 2), device_b(b.size() * 2);
  const Workspace device_y(kRows * kColumns * sizeof(float));
  const auto map = [&](Workspace& memory, const std::vector<float>& values, int lines) {
    return make_tensor_map(MappedLines{to_bfloat16(memory, values).as<const void>(), depth, lines,
                                       1, 2 * depth, lines, MapElement::kBfloat16});
  };
  launch(name.c_str(), product_of_tiles, Launch{1, kThreads, kStages * kStageBytes + kAlignment},
         fault, static_cast<int>(divide_up(depth, kStep)), map(device_a, a, kRows),
         map(device_b, b, kColumns), device_y.as<float>());
  std::vector<float> y(kRows * kColumns);
  copy_to_host(y.data(), device_y.as<float>(), y.size() * sizeof(float));
  return y;
}

}  // namespace neurona
