// The product of product.cuh with a depth of up to 16: the gradient of a large layer's weight from
// a few samples, or of the rows before a few outputs. To write the result is what takes the time,
// so two blocks share a multiprocessor and write all along, where a block of larger tiles would
// first wait for its operands, then multiply parts that are filled up with zeros, and then write.
//
// A warp writes 128 columns of one row after the other. Its lanes hold the whole depth of their 4
// columns in registers; all of them read the row's elements at one place of shared memory.
#include "cuda/short_product.h"

#include "cuda/precision.h"
#include "cuda/product/plain_parts.cuh"
#include "cuda/product/product_grid.cuh"
#include "cuda/product/slices.cuh"
#include "cuda/ptx/cp_async.cuh"

namespace neurona {
namespace {

constexpr int kShortTile = 128;  // rows and columns
constexpr int kShortWarps = kProductThreads / kWarpSize;
constexpr int kMostDepths = 16;

// Line i, element k at data[i * line_stride + k * depth_stride].
struct ShortLines {
  const float* data;
  int64_t count, line_stride, depth_stride;
};

ShortLines short_lines(const Matrix& matrix, int64_t count, bool along) {
  return {matrix.data, count, along ? matrix.stride : 1, along ? 1 : matrix.stride};
}

// Copies a tile of either operand to shared memory: zeros beyond the last line, and beyond the
// depth. Line i, element k goes to to[i * kToLine + k * kToDepth]. Neighbouring threads read
// neighbours, whichever they are.
template <int kDepths, int kToLine, int kToDepth>
__device__ inline void begin_to_copy(const ShortLines& lines, int64_t first, int depth, float* to) {
  constexpr int kCopies = kShortTile * kDepths / kProductThreads;
  const bool along = lines.depth_stride == 1;
  const int thread = threadIdx.x, next_line = along ? kProductThreads / kDepths : 0,
            next_k = along ? 0 : kProductThreads / kShortTile;
  int line = along ? thread / kDepths : thread % kShortTile,
      k = along ? thread % kDepths : thread / kShortTile;
  const float* from = lines.data + (first + line) * lines.line_stride + k * lines.depth_stride;
  const int64_t next = next_line * lines.line_stride + next_k * lines.depth_stride;
  const auto count = static_cast<int>(min(lines.count - first, int64_t{kShortTile}));
  to += line * kToLine + k * kToDepth;
  NEURONA_UNROLL
  for (int i = 0; i < kCopies; ++i) {
    const bool is_there = line < count && k < depth;
    begin_copy<sizeof(float)>(to, is_there ? from : lines.data, is_there);
    from += next;
    to += next_line * kToLine + next_k * kToDepth;
    line += next_line;
    k += next_k;
  }
}

// Four columns of one row after the other, kept until they are written.
template <int kDepths>
struct ShortColumns {
  float own[kDepths][4];

  __device__ Run<4> multiply(const float4* row) const {
    float elements[kDepths];
    Run<4> sums{};
    NEURONA_UNROLL
    for (int k = 0; k < kDepths; ++k) {
      if (k % 4 == 0) {
        const float4 four = row[k / 4];
        elements[k] = four.x;
        elements[k + 1] = four.y;
        elements[k + 2] = four.z;
        elements[k + 3] = four.w;
      }
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j) sums.at[j] = fmaf(elements[k], own[k][j], sums.at[j]);
    }
    return sums;
  }
};

template <int kDepths>
__global__ void __launch_bounds__(kProductThreads, 2)
    short_product_kernel(GemmShape shape, unsigned tiles_n, ShortLines a, ShortLines b,
                         RowTarget target) {
  // Four words more than there are: threads that copy elements one below the other meet few banks
  // twice.
  constexpr int kRow = kDepths + 4, kDepth = kShortTile + 4;
  NEURONA_SHARED(float4, rows, [kShortTile][kRow / 4]);
  NEURONA_SHARED(float4, columns, [kDepths][kDepth / 4]);
  const int64_t first_m = int64_t{blockIdx.x / tiles_n} * kShortTile,
                first_n = int64_t{blockIdx.x % tiles_n} * kShortTile;
  const auto depth = static_cast<int>(shape.k);
  wait_for_earlier_kernels();
  begin_to_copy<kDepths, kRow, 1>(a, first_m, depth, reinterpret_cast<float*>(rows));
  begin_to_copy<kDepths, 1, kDepth>(b, first_n, depth, reinterpret_cast<float*>(columns));
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();

  const int warp = threadIdx.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  const int64_t n = first_n + 4 * lane;
  const int count = columns_inside<4>(n, shape.n);
  if (count == 0) return;
  ShortColumns<kDepths> own;
  NEURONA_UNROLL
  for (int k = 0; k < kDepths; ++k)
    load_four(reinterpret_cast<const float*>(&columns[k][lane]), own.own[k]);
  const auto end = static_cast<int>(min(shape.m - first_m, int64_t{kShortTile}));
  const auto write = [&](const auto& to, const auto& store) {
    const auto place = to.template columns<4>(0, n, count);
    for (int row = warp; row < end; row += kShortWarps)
      store(to.row(0, first_m + row), place, own.multiply(rows[row]));
  };
  const auto write_whole = [&](const auto& to) {
    write(to, [&](const auto& row, const auto& place, const Run<4>& sums) {
      to.store_together(row, place, sums);
    });
  };
  if (count == 4 && target.stores_together<4>()) {
    if (!target.specialised(write_whole)) write_whole(target);
    return;
  }
  write(target, [&](const auto& row, const auto& place, const Run<4>& sums) {
    target.store(row, place, sums);
  });
}

template <int kDepths>
void launch_short_product(const GemmShape& shape, const ShortLines& a, const ShortLines& b,
                          const RowTarget& target) {
  const int64_t tiles_m = divide_up(shape.m, kShortTile), tiles_n = divide_up(shape.n, kShortTile);
  launch("gemm", short_product_kernel<kDepths>,
         overlapping({dim3(static_cast<unsigned>(tiles_m * tiles_n)), dim3(kProductThreads)}),
         shape, static_cast<unsigned>(tiles_n), a, b, target);
}

}  // namespace

bool takes_short_product(const GemmShape& shape) {
  return product_precision() == ProductPrecision::kHighest && shape.k > 0 &&
         shape.k <= kMostDepths && shape.m > kMostDepths && shape.n > kMostDepths &&
         enough_tiles({shape.m, shape.n, shape.k, 1}, kShortTile, kShortTile);
}

void short_product(const GemmShape& shape, const Matrix& a, const Matrix& b,
                   const RowTarget& target) {
  const ShortLines left = short_lines(a, shape.m, !a.transposed),
                   right = short_lines(b, shape.n, b.transposed);
  const auto run = [&](auto launch_it) { launch_it(shape, left, right, target); };
  if (shape.k <= 4) return run(launch_short_product<4>);
  if (shape.k <= 8) return run(launch_short_product<8>);
  run(launch_short_product<kMostDepths>);
}

}  // namespace neurona
