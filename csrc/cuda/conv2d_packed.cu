// The three passes on the tensor cores of sm_90, rounded (packed_patches.cuh): operands are packed
// once, and of the images the copy engine makes patches.
//
//   forward          y (pixels x K)        patches of x  times  filters (taps, K, C)
//   backward data    dx (pixels x C)       patches of dy  times  filters (taps, C, K); with strides
//                                          a product for each remainder (patches.cuh)
//   backward weight  dw (taps C x K)       patches of x, turned  times  dy, turned; bfloat16 alone
//
// Whatever these cannot do, or not well, is left to the other products: each function says whether
// it did its work.
#include <algorithm>
#include <vector>

#include "cuda/conv2d_targets.cuh"
#include "cuda/conv2d_variants.h"
#include "cuda/product/pack_filters.cuh"
#include "cuda/product/packed_matrices.cuh"
#include "cuda/product/packed_patches.cuh"
#include "cuda/product/patches.cuh"

namespace neurona {
namespace {

Patches patches_of_x(const Conv2dShape& shape) {
  return {shape.n,
          shape.h,
          shape.w,
          shape.c,
          {-shape.padding[0], -shape.padding[1]},
          {shape.p, shape.q},
          {shape.stride[0], shape.stride[1]},
          {shape.r, shape.s},
          {shape.dilation[0], shape.dilation[1]}};
}

// What pixels of the same remainders read of dy: their taps in reverse, so that each lies behind
// the one before it.
Patches patches_of_dy(const Conv2dShape& shape, const Remainder& rows, const Remainder& columns) {
  const auto first = [](const Remainder& set) {
    return set.first_output - (set.taps - 1) * set.output_step;
  };
  return {shape.n,
          shape.p,
          shape.q,
          shape.k,
          {first(rows), first(columns)},
          {rows.count, columns.count},
          {1, 1},
          {rows.taps, columns.taps},
          {rows.output_step, columns.output_step}};
}

// Packing reads and writes the images once more, and of a step that is not full of channels the
// rest are zeros. From which size on that pays is to be measured; these are guesses.
template <typename Number>
bool pays(const Conv2dShape& shape, const Patches& patches, int64_t outputs) {
  constexpr int64_t kLeastOutputs = 32, kLeastDepth = 256, kLeastPatches = 2048;
  if (!can_pack() || shape.groups != 1 || !can_be_loaded(patches) ||
      shape.r * shape.s > kMostPackedTaps)
    return false;
  if (packing() == Packing::kAlways) return true;
  const int64_t steps = divide_up(patches.channels, kStageDepth<Number>);
  return 2 * patches.channels >= steps * kStageDepth<Number> && outputs >= kLeastOutputs &&
         patches.channels * patches.number_of_taps() >= kLeastDepth &&
         patches.number() >= kLeastPatches;
}

template <typename Number>
PackedLines<Number> packed_images(const char* name, const float* images, int64_t pixels,
                                  int64_t channels) {
  return packed<Number>(name, DenseSource<true>{images, pixels, channels, 0}, pixels, channels, 1);
}

// Patches of packed images times packed filters, tap (i, j) of which is matrix
// first + i down + j across.
struct FilterOrder {
  int64_t first, down, across;
};
template <typename Number, typename Target>
void multiply_patches(const char* name, const Patches& patches, const PackedLines<Number>& images,
                      const PackedLines<Number>& filters, const FilterOrder& order, int64_t outputs,
                      const Target& target) {
  const int64_t steps = patches.number_of_taps() * divide_up(patches.channels, kStageDepth<Number>);
  const ProductShape product{patches.number(), outputs, steps * kStageDepth<Number>, 1};
  const TensorMap map = map_of_patches(patches, images.words(), images.line_bytes(), kPackedRows,
                                       map_element(Number{}));
  with_packed_grid<Number>(product, [&](auto columns, const PackedGrid& grid) {
    const PatchTiles<Number> tiles{map,
                                   filters.map(own_columns<columns>(grid.cluster_blocks)),
                                   PatchPlaces(patches),
                                   static_cast<int>(patches.channels),
                                   static_cast<int>(patches.taps[1]),
                                   static_cast<int>(patches.distance[0]),
                                   static_cast<int>(patches.distance[1]),
                                   static_cast<int>(order.first),
                                   static_cast<int>(order.down),
                                   static_cast<int>(order.across)};
    run_packed<columns>(name, product, grid, tiles, target);
  });
}

template <typename Number>
bool forward(const Conv2dShape& shape, const float* x, const float* weight,
             const RowTarget& target) {
  constexpr const char* kName = "conv2d_forward";
  const Patches patches = patches_of_x(shape);
  if (!pays<Number>(shape, patches, shape.k)) return false;
  const auto images = packed_images<Number>(kName, x, shape.n * shape.h * shape.w, shape.c);
  const auto filters = packed_filters<Number>(kName, weight, shape.k, shape.c, shape.r * shape.s);
  multiply_patches(kName, patches, images, filters, {0, shape.s, 1}, shape.k, target);
  return true;
}

// Pixels that no tap reads have no products to be the sum of.
template <typename Target>
__global__ void store_nothing_kernel(ProductShape shape, Target target) {
  wait_for_earlier_kernels();
  constexpr int kRun = 4;
  const int64_t runs = (shape.n + kRun - 1) / kRun;
  for (int64_t i = first_element(); i < shape.m * runs; i += element_stride()) {
    const int64_t n = i % runs * kRun;
    store_run(target, target.row(0, i / runs), 0, n, shape.n, Run<kRun>{});
  }
}

template <typename Number>
bool backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                   const RowTarget& pixels) {
  constexpr const char* kName = "conv2d_backward_data";
  std::vector<std::pair<Remainder, Remainder>> remainders;
  for_remainders(shape, [&](const Remainder& rows, const Remainder& columns) {
    remainders.emplace_back(rows, columns);
  });
  for (const auto& [rows, columns] : remainders)
    if (rows.taps * columns.taps > 0 &&
        !pays<Number>(shape, patches_of_dy(shape, rows, columns), shape.c))
      return false;
  const auto images = packed_images<Number>(kName, dy, shape.n * shape.p * shape.q, shape.k);
  const auto filters =
      packed_turned_filters<Number>(kName, weight, shape.k, shape.c, shape.r * shape.s);
  for (const auto& [rows, columns] : remainders) {
    const PixelTarget target = pixel_target(shape, rows, columns, pixels);
    if (rows.taps * columns.taps == 0) {
      const ProductShape product{shape.n * rows.count * columns.count, shape.c, 0, 1};
      launch(kName, store_nothing_kernel<PixelTarget>,
             overlapping(over_elements(product.m * product.n)), product, target);
      continue;
    }
    const int64_t last_row = rows.first_tap + (rows.taps - 1) * rows.tap_step,
                  last_column = columns.first_tap + (columns.taps - 1) * columns.tap_step;
    multiply_patches(
        kName, patches_of_dy(shape, rows, columns), images, filters,
        {last_row * shape.s + last_column, -rows.tap_step * shape.s, -columns.tap_step}, shape.c,
        target);
  }
  return true;
}

// dw[k, c, r, s] from (64 channels of one tap after the other, k).
struct TurnedWeightTarget {
  float* dw;
  int64_t channels, taps;
  Divisor by_parts;  // of 64 channels, those of a tap

  using Row = float*;  // null behind the last channel
  template <int kRun>
  struct Columns {
    int64_t first;
    int count;
  };

  __device__ Row row(int64_t, int64_t m) const {
    constexpr int64_t kSide = FilterGradientTiles::kSideBySide;
    const Divided tap = divide(m / kSide, by_parts);
    const int64_t channel = tap.remainder * kSide + m % kSide;
    return channel < channels ? dw + channel * taps + tap.quotient : nullptr;
  }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t, int64_t n, int count) const {
    return {n * channels * taps, count};
  }
  template <int kRun>
  __device__ void store(const Row& row, const Columns<kRun>& columns, const Run<kRun>& sums) const {
    if (!row) return;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i)
      if (i < columns.count) row[columns.first + i * channels * taps] = sums.at[i];
  }
  template <typename Body>
  __device__ bool specialised(const Body& body) const {
    body(*this);
    return true;
  }
  // Nothing lies side by side; but of a whole run less has to be asked.
  template <int kRun>
  __device__ bool stores_together() const {
    return true;
  }
  template <int kRun>
  __device__ void store_together(const Row& row, const Columns<kRun>& columns,
                                 const Run<kRun>& sums) const {
    if (!row) return;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i) row[columns.first + i * channels * taps] = sums.at[i];
  }
};

bool backward_weight(const Conv2dShape& shape, const float* dy, const float* x, float* dw) {
  constexpr const char* kName = "conv2d_backward_weight";
  using Tiles = FilterGradientTiles;
  const Patches patches = patches_of_x(shape);
  if (!pays<Bfloat16>(shape, patches, shape.k)) return false;
  const int64_t pixels = patches.number(), taps = patches.number_of_taps();
  const auto images = packed_images<Bfloat16>(kName, x, shape.n * shape.h * shape.w, shape.c),
             gradients = packed_images<Bfloat16>(kName, dy, pixels, shape.k);
  const ProductShape product{taps * Tiles::padded(shape.c), shape.k, pixels, 1};
  const Tiles tiles{map_of_patches(patches, images.words(), images.line_bytes(), Tiles::kPixels,
                                   map_element(Bfloat16{})),
                    gradients.map(Tiles::kPixels),
                    PatchPlaces(patches),
                    static_cast<int>(shape.c),
                    static_cast<int>(taps),
                    static_cast<int>(shape.s),
                    static_cast<int>(shape.dilation[0]),
                    static_cast<int>(shape.dilation[1])};
  const TurnedWeightTarget target{dw, shape.c, taps,
                                  Divisor(divide_up(shape.c, Tiles::kSideBySide))};
  with_packed_grid<Bfloat16>(product, [&](auto columns, const PackedGrid& grid) {
    run_packed<columns>(kName, product, grid, tiles, target);
  });
  return true;
}

}  // namespace

bool conv2d_packed_forward(const Conv2dShape& shape, const float* x, const float* weight,
                           const RowTarget& target) {
  switch (product_precision()) {
    case ProductPrecision::kHighest: return false;
    case ProductPrecision::kHigh: return forward<Tf32>(shape, x, weight, target);
    case ProductPrecision::kMedium: return forward<Bfloat16>(shape, x, weight, target);
  }
  return false;
}

bool conv2d_packed_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                 const RowTarget& pixels) {
  switch (product_precision()) {
    case ProductPrecision::kHighest: return false;
    case ProductPrecision::kHigh: return backward_data<Tf32>(shape, dy, weight, pixels);
    case ProductPrecision::kMedium: return backward_data<Bfloat16>(shape, dy, weight, pixels);
  }
  return false;
}

bool conv2d_packed_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                   float* dw) {
  return product_precision() == ProductPrecision::kMedium && backward_weight(shape, dy, x, dw);
}

}  // namespace neurona
