// The product of product.cuh for dense matrices one of which has few lines (product/thin_rows.cuh):
// a batch of a few samples, or a layer with a few outputs. Tiles of 16 or 32 lines would compute
// mostly zeros, and keep less of the other matrix under way than memory can bring.
//
// A block has 32 to 128 lines of that matrix and a slice of the depth; the block of a tile that
// comes last adds the slices in their order.
#include "cuda/thin_product.h"

#include <algorithm>
#include <type_traits>

#include "cuda/platform/device_memory.h"
#include "cuda/precision.h"
#include "cuda/product/slices.cuh"
#include "cuda/product/thin_across.cuh"
#include "cuda/product/thin_along.cuh"

namespace neurona {
namespace {

// With 16 products for each element of the matrix a multiprocessor multiplies for two thirds of the
// time that memory takes to bring it (80 of 128 cores by the bandwidth of an H200).
constexpr int kMostThinRows = 16;
// Of a multiprocessor. Two blocks with 8 loads of 16 bytes under way in each of 256 threads, or one
// with 16, have 64 KiB of them: memory brings 36 KB/us to each of 132, and takes 0.6 to 0.8 us.
template <int kRows>
constexpr int kThinBlocksAtOnce = kRows == kMostThinRows ? 1 : 2;

// Four neighbouring columns of the tile's result, in each round of rows: which they are, and the
// sums of all groups in their order. The tile lies in shared memory as [group][row][line].
template <typename Sums>
struct ThinFour {
  static constexpr int kLines = Sums::kLines, kRows = Sums::kRoundRows,
                       kQuads = divide_up(kRows, 4), kOfQuad = std::min(kRows, 4);
  int row, line;
  bool along_lines;  // whether the lines are the result's columns

  __device__ explicit ThinFour(bool lines_are_columns) : along_lines(lines_are_columns) {
    const int thread = threadIdx.x;
    row = along_lines ? thread / (kLines / 4) : thread % kQuads * 4;
    line = along_lines ? thread % (kLines / 4) * 4 : thread / kQuads;
  }
  __device__ bool is_there() const { return row < kRows && line < kLines; }

  __device__ Run<4> sum(const float* memory) const {
    Run<4> sum{};
    NEURONA_UNROLL
    for (int group = 0; group < Sums::kGroups; ++group) {
      const float* part = memory + (group * kRows + row) * kLines + line;
      float four[4] = {};
      if (along_lines) {
        load_four(part, four);
      } else {
        NEURONA_UNROLL
        for (int j = 0; j < kOfQuad; ++j) four[j] = part[j * kLines];
      }
      add_part(sum, make_float4(four[0], four[1], four[2], four[3]), group == 0);
    }
    return sum;
  }
};

// One of the operands is `matrix`, whose lines are rows or columns of the result.
template <typename Sums, int kRows>
__global__ void __launch_bounds__(kProductThreads, kThinBlocksAtOnce<kRows>)
    thin_product_kernel(ProductShape shape, ProductGrid grid, typename Sums::Matrix matrix,
                        ThinRows thin, bool lines_are_columns, ProductOutput<RowTarget> output) {
  NEURONA_SHARED(float4, fours, [Sums::kSharedFloats / 4]);
  float* const memory = reinterpret_cast<float*>(fours);
  const auto tiles = static_cast<unsigned>(grid.tiles_m);
  const BlockPlace place{0, static_cast<int>(blockIdx.x / tiles),
                         static_cast<int>(blockIdx.x % tiles), 0};
  const int64_t first_line = int64_t{place.tile_m} * Sums::kLines,
                begin = place.slice * grid.slice_length,
                end = min(begin + grid.slice_length, shape.k);
  Sums sums(matrix, thin, first_line, begin, end, memory);
  wait_for_earlier_kernels();
  sums.walk();

  constexpr int kRounds = kRows / Sums::kRoundRows;
  const ThinFour<Sums> four(lines_are_columns);
  Run<4> left[kRounds] = {};
  NEURONA_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    __syncthreads();
    sums.put(memory, round);
    __syncthreads();
    if (four.is_there()) left[round] = four.sum(memory);
  }
  const auto left_of = [&](int i) -> Run<4>& { return left[i]; };
  if (output.parts && !add_slices<kRounds>(output.parts, place, grid, output.counters, memory,
                                           left_of, four.is_there()))
    return;
  if (!four.is_there()) return;
  NEURONA_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const int64_t row = round * Sums::kRoundRows + four.row, line = first_line + four.line,
                  m = lines_are_columns ? row : line, n = lines_are_columns ? line : row;
    if (m < shape.m && n < shape.n)
      store_run<4>(output.target, output.target.row(0, m), 0, n, shape.n, left[round]);
  }
}

// With as many slices as take least time, if all blocks that run at once share the bandwidth: what
// the last round of them reads, and what the slices cost, as bytes that a block could have read
// meanwhile (18 or 36 KB/us; estimates, to be measured).
template <int kLines, int kBlocksAtOnce>
ProductGrid thin_grid(int64_t lines, int64_t depth) {
  constexpr int64_t kAtOnce = kBlocksAtOnce * kEnoughTiles, kMostSlices = 64, kShortestSlice = 256,
                    kStep = 128, kOfSlices = (64 << 10) / kBlocksAtOnce,
                    kOfSlice = (2 << 10) / kBlocksAtOnce;
  const int64_t tiles = divide_up(lines, kLines);
  ProductGrid grid{tiles, 1, 1, depth};
  int64_t least = 0;
  for (int64_t wanted = 1; wanted <= kMostSlices; ++wanted) {
    if (wanted > 1 && (tiles > kBlockCounters || depth < wanted * kShortestSlice)) break;
    const int64_t length = divide_up(divide_up(depth, wanted), kStep) * kStep,
                  slices = divide_up(depth, length),
                  adding = slices == 1 ? 0 : kOfSlices + kOfSlice * slices,
                  bytes = divide_up(tiles * slices, kAtOnce) * (4 * kLines * length + adding);
    if (wanted > 1 && bytes >= least) continue;
    least = bytes;
    grid.slices = slices;
    grid.slice_length = length;
  }
  return grid;
}

template <int kRows, int kWidth, bool kAlong>
void launch_thin_product(const ProductShape& shape, const DenseSource<kAlong>& matrix,
                         const ThinRows& thin, bool lines_are_columns, const RowTarget& target) {
  using Sums =
      std::conditional_t<kAlong, SumsAlongDepth<kRows, kWidth>, SumsAcrossDepth<kRows, kWidth>>;
  const ProductGrid grid = thin_grid<Sums::kLines, kThinBlocksAtOnce<kRows>>(matrix.count, shape.k);
  const int64_t blocks = grid.tiles_m * grid.slices,
                block_sums = 4 * kProductThreads * kRows / Sums::kRoundRows;
  const Workspace parts(
      grid.slices == 1 ? 0 : static_cast<size_t>(blocks * block_sums) * sizeof(float));
  launch("gemm", thin_product_kernel<Sums, kRows>,
         overlapping({dim3(static_cast<unsigned>(blocks)), dim3(kProductThreads)}), shape, grid,
         matrix, thin, lines_are_columns,
         ProductOutput<RowTarget>{target, parts.as<float>(), block_counters()});
}

// Calls body with how many rows threads have sums of, zeros among them, as a type.
template <typename Body>
void with_rows(int count, const Body& body) {
  if (count == 1) return body(std::integral_constant<int, 1>{});
  if (count == 2) return body(std::integral_constant<int, 2>{});
  if (count <= 4) return body(std::integral_constant<int, 4>{});
  if (count <= 8) return body(std::integral_constant<int, 8>{});
  body(std::integral_constant<int, kMostThinRows>{});
}

template <bool kAlong>
void multiply_matrix(const ProductShape& shape, const DenseSource<kAlong>& matrix,
                     const ThinRows& thin, bool lines_are_columns, const RowTarget& target) {
  const bool in_fours = matrix.is_in_fours(shape.k);
  with_rows(thin.count, [&](auto rows) {
    const auto kernel =
        in_fours ? launch_thin_product<rows, 4, kAlong> : launch_thin_product<rows, 1, kAlong>;
    kernel(shape, matrix, thin, lines_are_columns, target);
  });
}

}  // namespace

bool takes_thin_product(const GemmShape& shape) {
  constexpr int64_t kFewestLines = 256, kShortestLine = 256,
                    kFewestElements = kEnoughTiles * 64 * 64;
  const int64_t rows = std::min(shape.m, shape.n), lines = std::max(shape.m, shape.n);
  return product_precision() == ProductPrecision::kHighest && rows > 0 && rows <= kMostThinRows &&
         lines >= kFewestLines && shape.k >= kShortestLine && lines * shape.k >= kFewestElements;
}

void thin_product(const GemmShape& shape, const Matrix& a, const Matrix& b,
                  const RowTarget& target) {
  const bool lines_are_columns = shape.m <= shape.n;
  // Rows of a and columns of b are lines: those of the one lie along the depth where those of the
  // other lie across it.
  const Matrix &matrix = lines_are_columns ? b : a, &few = lines_are_columns ? a : b;
  const bool matrix_is_along = matrix.transposed == lines_are_columns,
             few_are_along = few.transposed != lines_are_columns;
  const int64_t rows = std::min(shape.m, shape.n), row_stride = few_are_along ? few.stride : 1,
                depth_stride = few_are_along ? 1 : few.stride;
  // A single row may lie both ways.
  const ThinRows thin{few.data, static_cast<int>(rows), row_stride, depth_stride,
                      depth_stride == 1 && are_in_fours(few.data, rows == 1 ? 0 : row_stride)};
  const int64_t lines = std::max(shape.m, shape.n);
  const ProductShape all{shape.m, shape.n, shape.k, 1};
  if (matrix_is_along)
    multiply_matrix(all, DenseSource<true>{matrix.data, lines, matrix.stride, 0}, thin,
                    lines_are_columns, target);
  else
    multiply_matrix(all, DenseSource<false>{matrix.data, lines, matrix.stride, 0}, thin,
                    lines_are_columns, target);
}

}  // namespace neurona
