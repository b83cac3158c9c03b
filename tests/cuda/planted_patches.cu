// A small product of turned tiles, right or with one fault planted in it;
// test_cuda_hopper_emulation.py says what must come of each.
//
// y[c, k] = sum over pixels of x[n, 1 + p, 2 + q, 8 + c] dy[n, p, q, k] in bfloat16: what tap
// (1, 2) of a filter's gradient is. One thread loads steps of 64 pixels into a single stage, one
// warpgroup multiplies them.
#include <cstring>

#include "cuda/platform/device_memory.h"
#include "cuda/ptx/mma.cuh"
#include "cuda/ptx/tensor_load.cuh"
#include "cuda/ptx/wgmma.cuh"
#include "planted_hopper.h"

namespace neurona {
namespace {

constexpr int kImages = 2, kHeight = 6, kWidth = 7, kChannels = 72, kRows = 5, kInRow = 5;
constexpr int kPixels = kImages * kRows * kInRow, kFirstChannel = 8, kTapRow = 1, kTapColumn = 2;
constexpr int kSide = 64, kColumns = 128, kThreads = 128, kAlignment = 1024;
constexpr int kPartBytes = kSide * kTileLineBytes, kStageBytes = 3 * kPartBytes;

enum Fault {
  kNone,
  kOtherKindOfMap,
  kPixelNotNumbered,
  kPixelBeyondTheLast,
  kOffsetTooFar,
  kOffsetBelowZero,
  kFewerBytes,
  kNeighbouringTap,
  kWrongDistance,
  kWrongNextProduct,
  kNotTurned,
  kTileBetweenLines,
};
constexpr const char* kNames[] = {
    "none",           "other_kind_of_map",  "pixel_not_numbered", "pixel_beyond_the_last",
    "offset_too_far", "offset_below_zero",  "fewer_bytes",        "neighbouring_tap",
    "wrong_distance", "wrong_next_product", "not_turned",         "tile_between_lines",
};

__device__ void load(int fault, int step, const TensorMap& patches, const TensorMap& gradients,
                     Barrier& full, unsigned char* stage) {
  const int pixel = step * kSide, image = pixel / (kRows * kInRow), row = pixel / kInRow % kRows,
            column = pixel % kInRow;
  arrive_expecting(full, fault == kFewerBytes ? kStageBytes - 16 : kStageBytes);
  const int w = fault == kPixelNotNumbered     ? column - 1
                : fault == kPixelBeyondTheLast ? column + kInRow
                                               : column;
  const int across = fault == kOffsetTooFar      ? 256
                     : fault == kOffsetBelowZero ? -1
                     : fault == kNeighbouringTap ? kTapColumn - 1
                                                 : kTapColumn;
  load_patches(fault == kOtherKindOfMap ? gradients : patches, full, stage, kFirstChannel, w, row,
               image, across, kTapRow);
  for (int part = 0; part < kColumns / kSide; ++part)
    load_tile(gradients, full, stage + (1 + part) * kPartBytes, part * kSide, pixel, 0);
}

__global__ void product_of_patches(int fault, int steps, const __grid_constant__ TensorMap patches,
                                   const __grid_constant__ TensorMap gradients, float* y) {
  NEURONA_DYNAMIC_SHARED(unsigned char, memory);
  NEURONA_SHARED(Barrier, full, [1]);
  const unsigned beyond = shared_address(memory) % kAlignment;
  unsigned char* stage = memory + (beyond ? kAlignment - beyond : 0);
  if (threadIdx.x == 0) {
    init_barrier(full[0], 1);
    publish_barriers();
  }
  __syncthreads();
  using Order = AcrossDepth<kSide>;
  WarpgroupSums<kColumns> sums;
  for (int step = 0; step < steps; ++step) {
    if (threadIdx.x == 0) load(fault, step, patches, gradients, full[0], stage);
    wait(full[0], step % 2);
    const uint64_t a = Order::descriptor(fault == kTileBetweenLines ? stage + 32 : stage),
                   b = fault == kWrongDistance
                           ? AcrossDepth<kSide / 2>::descriptor(stage + kPartBytes)
                           : Order::descriptor(stage + kPartBytes);
    begin_products();
    for (int i = 0; i < 4; ++i) {
      const uint64_t next =
          i * (fault == kWrongNextProduct ? AlongDepth::kNextProduct : Order::kNextProduct);
      if (fault == kNotTurned)
        multiply_tiles(Bfloat16{}, AlongDepth{}, sums, a, b, step + i > 0);
      else
        multiply_tiles(Bfloat16{}, Order{}, sums, a + next, b + next, step + i > 0);
    }
    commit_products();
    wait_for_products<0>(sums);
    __syncthreads();
  }
  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  for (int j = 0; j < kColumns / 8; ++j)
    for (int part = 0; part < 4; ++part) {
      const int row = 16 * warp + lane / 4 + 8 * (part / 2),
                column = 8 * j + 2 * (lane % 4) + part % 2;
      y[row * kColumns + column] = sums[j][part];
    }
}

void copy_as_bfloat16(void* memory, const std::vector<float>& values) {
  std::vector<uint16_t> elements;
  for (float value : values) elements.push_back(Bfloat16::from_float(value));
  copy_to_device(memory, elements.data(), elements.size() * sizeof elements[0]);
}

}  // namespace

std::vector<std::string> patch_faults() { return {std::begin(kNames), std::end(kNames)}; }

std::vector<float> run_patches(const std::string& name, const std::vector<float>& x,
                               const std::vector<float>& dy) {
  int fault = 0;
  while (kNames[fault] != name) ++fault;
  const Workspace images(x.size() * 2), gradients(dy.size() * 2);
  const Workspace device_y(kSide * kColumns * sizeof(float));
  copy_as_bfloat16(images.as<void>(), x);
  copy_as_bfloat16(gradients.as<void>(), dy);
  const TensorMap patches = make_tensor_map(MappedPatches{images.as<const void>(),
                                                          kImages,
                                                          kHeight,
                                                          kWidth,
                                                          kChannels,
                                                          2 * kChannels,
                                                          {0, 0},
                                                          {kRows, kInRow},
                                                          {1, 1},
                                                          kSide,
                                                          MapElement::kBfloat16});
  const TensorMap lines =
      make_tensor_map(MappedLines{gradients.as<const void>(), kColumns, kPixels, 1, 2 * kColumns,
                                  kSide, MapElement::kBfloat16});
  launch(name.c_str(), product_of_patches, Launch{1, kThreads, kStageBytes + kAlignment}, fault,
         static_cast<int>(divide_up(kPixels, kSide)), patches, lines, device_y.as<float>());
  std::vector<float> y(kSide * kColumns);
  copy_to_host(y.data(), device_y.as<float>(), y.size() * sizeof(float));
  return y;
}

}  // namespace neurona
