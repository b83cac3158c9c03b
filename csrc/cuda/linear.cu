// The gradients of a linear layer. Of a small one, whose products are far too few tiles to fill a
// GPU, both products and the sums of the bias are one launch: what counts there is how many kernels
// wait for each other, 1 to 2 us each. Some blocks compute a tile of dx, some one of dw, and some
// sum 8 columns of dy.
#include "ops/linear.h"

#include "cuda/common/column_sums.cuh"
#include "cuda/precision.h"
#include "cuda/product/product.cuh"
#include "cuda/thin_product.h"

namespace neurona {
namespace {

// Rows without gaps of c, where those of y are above 0 or NaN; everywhere if y is null.
struct RectifiedTarget {
  float* c;
  const float* y;
  int64_t stride;

  using Row = int64_t;  // the place of its first element
  template <int kRun>
  struct Columns {
    int64_t first;
    int count;
  };

  __device__ Row row(int64_t, int64_t m) const { return m * stride; }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t, int64_t n, int count) const {
    return {n, count};
  }
  template <int kRun>
  __device__ bool stores_together() const {
    return stride % kRun == 0 && reinterpret_cast<uintptr_t>(c) % (kRun * sizeof(float)) == 0;
  }
  template <int kRun>
  __device__ void store_together(const Row& row, const Columns<kRun>& columns,
                                 const Run<kRun>& sums) const {
    const int64_t place = row + columns.first;
    Run<kRun> values;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i) values.at[i] = value_of(sums.at[i], place + i);
    neurona::store_together(c + place, values);
  }
  template <int kRun>
  __device__ void store(const Row& row, const Columns<kRun>& columns, const Run<kRun>& sums) const {
    const int64_t place = row + columns.first;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i)
      if (i < columns.count) c[place + i] = value_of(sums.at[i], place + i);
  }
  __device__ float value_of(float sum, int64_t place) const {
    return y && y[place] <= 0 ? 0.0f : sum;
  }
};

// A product whose result is a dense matrix, and how many blocks it takes: none if it is not wanted.
template <int kTile, typename SourceA, typename SourceB>
struct SmallProduct {
  ProductShape shape;
  ProductGrid grid;
  SourceA a;
  SourceB b;
  RectifiedTarget target;
  unsigned blocks;

  SmallProduct(const ProductShape& of, const SourceA& left, const SourceB& right, float* to,
               const float* rectified)
      : shape(of),
        grid(product_grid(of, kTile, kTile)),
        a(left),
        b(right),
        target{to, rectified, of.n},
        blocks(to ? static_cast<unsigned>(grid.tiles_m * grid.tiles_n) : 0) {}

  bool is_small() const { return !blocks || (takes_small_tiles(shape) && grid.slices == 1); }
  bool is_in_fours() const { return !blocks || (a.is_in_fours(shape.k) && b.is_in_fours(shape.k)); }

  template <int kWidth>
  __device__ void multiply(unsigned number, float* memory) const {
    const ProductOutput<RectifiedTarget> output{target, nullptr, nullptr};
    multiply_tile<kTile, kTile, kWidth>(number, memory, shape, grid, a, b, output);
  }
};

// 32 lanes take 16 rows each, in two rounds of loads; of more rows the products are cut anyway.
constexpr int kSummedColumns = 8;
constexpr int64_t kMostRows = 512;

struct BiasGradient {
  Rows dy;
  float* db;
  unsigned blocks;

  __device__ void sum(unsigned number, ColumnSumsOfWarps<kSummedColumns>& of_warp) const {
    constexpr int kLanes = kBlock / kSummedColumns;
    const int lane = threadIdx.x / kSummedColumns;
    const int64_t column = int64_t{number} * kSummedColumns + threadIdx.x % kSummedColumns;
    double sum = 0;
    wait_for_earlier_kernels();
    if (column < dy.columns)
      sum = sum_of_steps(dy.x + column, lane, dy.rows, int64_t{kLanes}, dy.stride);
    sum = sum_of_lanes<kSummedColumns>(sum, of_warp);
    if (lane == 0 && column < dy.columns) db[column] = static_cast<float>(sum);
  }
};

template <int kTile>
using DataProduct = SmallProduct<kTile, DenseSource<true>, DenseSource<false>>;
template <int kTile>
using WeightProduct = SmallProduct<kTile, DenseSource<false>, DenseSource<false>>;

template <int kTile, int kWidth>
__global__ void __launch_bounds__(kProductThreads, 2)
    linear_gradients_kernel(DataProduct<kTile> dx, WeightProduct<kTile> dw, BiasGradient db) {
  using Tile = PlainTile<kTile, kTile, kWidth>;
  NEURONA_SHARED(Four, fours, [Tile::kStages * Tile::kPart / 4]);
  unsigned number = blockIdx.x;
  if (number < dx.blocks) return dx.template multiply<kWidth>(number, fours[0].at);
  number -= dx.blocks;
  if (number < dw.blocks) return dw.template multiply<kWidth>(number, fours[0].at);
  db.sum(number - dw.blocks, *reinterpret_cast<ColumnSumsOfWarps<kSummedColumns>*>(fours[0].at));
}
static_assert(kProductThreads == kBlock);

// Whether it was done, in tiles of this size.
template <int kTile>
bool gradients_at_once(const LinearShape& shape, const float* dy, const float* x,
                       const float* weight, bool rectified, const LinearGradients& to) {
  const auto [n, in, out] = shape;
  const DataProduct<kTile> dx({n, in, out, 1}, DenseSource<true>{dy, n, out, 0},
                              DenseSource<false>{weight, in, in, 0}, to.dx,
                              rectified ? x : nullptr);
  const WeightProduct<kTile> dw({out, in, n, 1}, DenseSource<false>{dy, out, out, 0},
                                DenseSource<false>{x, in, in, 0}, to.dw, nullptr);
  if (!dx.is_small() || !dw.is_small()) return false;
  // Several of the smallest tiles to a multiprocessor would bring their operands for nothing.
  if (kTile == kSmallestPlainTile && dx.blocks + dw.blocks > 2 * kEnoughTiles) return false;
  const BiasGradient db{
      {dy, n, out, out}, to.db, to.db ? static_cast<unsigned>(divide_up(out, kSummedColumns)) : 0};
  const auto kernel = dx.is_in_fours() && dw.is_in_fours() ? linear_gradients_kernel<kTile, 4>
                                                           : linear_gradients_kernel<kTile, 1>;
  launch("linear_backward", kernel,
         overlapping({dim3(dx.blocks + dw.blocks + db.blocks), dim3(kProductThreads)}), dx, dw, db);
  return true;
}

bool gradients_at_once(const LinearShape& shape, const float* dy, const float* x,
                       const float* weight, bool rectified, const LinearGradients& to) {
  const auto [n, in, out] = shape;
  if (n == 0 || in == 0 || out == 0 || n > kMostRows ||
      product_precision() != ProductPrecision::kHighest)
    return false;
  // Of a few rows of a large layer dx is to read the weight once, which its small tiles would not
  // do in the least time.
  if (to.dx && takes_thin_product({n, in, out})) return false;
  return gradients_at_once<kSmallestPlainTile>(shape, dy, x, weight, rectified, to) ||
         gradients_at_once<kSmallPlainTile>(shape, dy, x, weight, rectified, to);
}

}  // namespace

void linear_backward(const LinearShape& shape, const float* dy, const float* x, const float* weight,
                     bool rectified, const LinearGradients& to) {
  if (!gradients_at_once(shape, dy, x, weight, rectified, to))
    linear_backward_in_turn(shape, dy, x, weight, rectified, to);
}

}  // namespace neurona
