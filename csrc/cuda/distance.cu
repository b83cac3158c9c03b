// Blocks of 16 x 16 threads find tiles of 32 x 32 distances, each thread two by two of them, so
// that a value in shared memory serves two differences. The differences of floats are exact in
// double, or nearly so; sums run along the depth in one order. d is overwritten.
#include "ops/distance.h"

#include "cuda/device.h"

namespace neurona {
namespace {

constexpr int kSide = 16, kTile = 2 * kSide;
constexpr int kDepth = 16;  // elements of each row that are in shared memory at a time

struct Squared {
  __device__ static double plus(double sum, double difference) {
    return fma(difference, difference, sum);
  }
};

struct Absolute {
  __device__ static double plus(double sum, double difference) { return sum + fabs(difference); }
};

// kTile rows from `first` on, kDepth elements from k on, as columns; 0 for what there is not. An
// odd width, so that the threads of a warp, which read along the depth, write to other banks.
using Tile = double[kDepth][kTile + 1];

__device__ inline void load_tile(const float* rows, int64_t first, int64_t count, int64_t k,
                                 int64_t depth, Tile& tile) {
  const int64_t at = k + threadIdx.x;
  for (int i = threadIdx.y; i < kTile; i += kSide)
    tile[threadIdx.x][i] = first + i < count && at < depth ? rows[(first + i) * depth + at] : 0.0;
}

template <typename Term>
__global__ void distance_kernel(DistanceForm form, int64_t n, int64_t m, int64_t depth,
                                int64_t tiles_of_row, const float* x, const float* y, double* d) {
  NEURONA_SHARED(double, tile_x, [kDepth][kTile + 1]);
  NEURONA_SHARED(double, tile_y, [kDepth][kTile + 1]);
  const int64_t first_x = blockIdx.x / tiles_of_row * kTile,
                first_y = blockIdx.x % tiles_of_row * kTile;
  double sums[4] = {};
  for (int64_t k = 0; k < depth; k += kDepth) {
    load_tile(x, first_x, n, k, depth, tile_x);
    load_tile(y, first_y, m, k, depth, tile_y);
    __syncthreads();
    NEURONA_UNROLL
    for (int step = 0; step < kDepth; ++step) {
      NEURONA_UNROLL
      for (int pair = 0; pair < 4; ++pair)
        sums[pair] = Term::plus(sums[pair], tile_x[step][threadIdx.y + kSide * (pair / 2)] -
                                                tile_y[step][threadIdx.x + kSide * (pair % 2)]);
    }
    __syncthreads();  // before the tiles are replaced
  }
  NEURONA_UNROLL
  for (int pair = 0; pair < 4; ++pair) {
    const int64_t row = first_x + threadIdx.y + kSide * (pair / 2),
                  column = first_y + threadIdx.x + kSide * (pair % 2);
    if (row >= n || column >= m) continue;
    const double sum = sums[pair];
    d[row * m + column] = form.root ? sqrt(sum) : form.square ? sum * sum : sum;
  }
}

}  // namespace

void pairwise_distances(const DistanceForm& form, int64_t n, int64_t m, int64_t depth,
                        const float* x, const float* y, double* d) {
  const int64_t tiles_of_row = divide_up(m, kTile);
  const Launch shape{dim3(static_cast<unsigned>(divide_up(n, kTile) * tiles_of_row)),
                     dim3(kSide, kSide)};
  const auto kernel =
      form.distance == Distance::kSquared ? distance_kernel<Squared> : distance_kernel<Absolute>;
  launch("pairwise_distances", kernel, shape, form, n, m, depth, tiles_of_row, x, y, d);
}

}  // namespace neurona
