// Tiles of a convolution's operands for packed_product.cuh. The images are packed once, channels
// innermost; the copy engine then reads the pixel of every tap where it lies, and the zeros around
// the images are nowhere. A step along k is one tap and kStageDepth channels.
#pragma once

#include <cstdint>

#include "cuda/common/divisor.cuh"
#include "cuda/product/packed_product.cuh"

namespace neurona {

// The patches that a pass multiplies: of every image `count` in a column and in a row, the first
// read from `first` on, the others `stride` apart; each has `taps` pixels, `distance` apart.
// All of them for (height, width).
struct Patches {
  int64_t images, height, width, channels;
  int64_t first[2], count[2], stride[2], taps[2], distance[2];

  int64_t number() const { return images * count[0] * count[1]; }
  int64_t number_of_taps() const { return taps[0] * taps[1]; }
};

// Whether the copy engine's fields hold them. Pixels and steps are counted in 31 bits.
inline bool can_be_loaded(const Patches& patches) {
  constexpr int64_t kMost = int64_t{1} << 31;
  if (patches.number() * 2 >= kMost || patches.channels * patches.number_of_taps() * 2 >= kMost)
    return false;
  const int64_t extents[2] = {patches.height, patches.width};
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t first = patches.first[axis], stride = patches.stride[axis];
    if (patches.count[axis] < 1 || patches.taps[axis] < 1 || stride > kMostPatchStride)
      return false;
    const int64_t upper = upper_corner(first, patches.count[axis], stride, extents[axis]);
    if (std::min(first, upper) < kLeastCorner || std::max(first, upper) > kMostCorner ||
        (patches.taps[axis] - 1) * patches.distance[axis] > kMostPatchOffset)
      return false;
  }
  return true;
}

// For tiles of so many pixels of images that were packed.
inline TensorMap map_of_patches(const Patches& patches, const void* packed, int64_t pixel_bytes,
                                int tile_lines, MapElement element) {
  MappedPatches map{
      packed, patches.images, patches.height, patches.width, patches.channels, pixel_bytes, {}, {},
      {},     tile_lines,     element};
  for (int axis = 0; axis < 2; ++axis) {
    map.first[axis] = static_cast<int>(patches.first[axis]);
    map.count[axis] = static_cast<int>(patches.count[axis]);
    map.stride[axis] = static_cast<int>(patches.stride[axis]);
  }
  return make_tensor_map(map);
}

// Where patch `index` is read first: among the images' patches, rows of `count` of them.
class PatchPlaces {
 public:
  struct Pixel {
    int w, h, image;
  };

  explicit PatchPlaces(const Patches& patches)
      : by_column_(patches.count[0]),
        by_row_(patches.count[1]),
        first_h_(static_cast<int>(patches.first[0])),
        first_w_(static_cast<int>(patches.first[1])),
        stride_h_(static_cast<int>(patches.stride[0])),
        stride_w_(static_cast<int>(patches.stride[1])) {}

  __device__ Pixel operator[](int index) const {
    const int line = by_row_.quotient(index), image = by_column_.quotient(line);
    const int row = line - image * static_cast<int>(by_column_.divisor),
              column = index - line * static_cast<int>(by_row_.divisor);
    return {first_w_ + column * stride_w_, first_h_ + row * stride_h_, image};
  }

 private:
  Divisor by_column_, by_row_;
  int first_h_, first_w_, stride_h_, stride_w_;
};

// y = patches times filters, and the gradient of the images, which is such a product too: A are
// patches, B are filters that lie as (taps, outputs, channels). Those of tap (i, j) are matrix
// first_filter + i filter_down + j filter_across: a gradient takes the taps in reverse, and those
// of one remainder by the stride.
template <typename NumberOfTiles>
struct PatchTiles {
  using Number = NumberOfTiles;
  using Order = AlongDepth;
  TensorMap patches, filters;
  PatchPlaces places;
  int channels, taps_across, tap_down, tap_across;  // tap_*: pixels from one to the next
  int first_filter, filter_down, filter_across;

  template <int kColumns>
  struct Cursor {
    PatchPlaces::Pixel pixel;
    int output, channel, row, column;

    __device__ Cursor(const PatchTiles& tiles, const BlockPlace& place, int step)
        : pixel(tiles.places[place.tile_m * kPackedRows]), output(place.tile_n * kColumns) {
      const int steps_of_tap = (tiles.channels + kStageDepth<Number> - 1) / kStageDepth<Number>;
      const int tap = step / steps_of_tap;
      channel = (step - tap * steps_of_tap) * kStageDepth<Number>;
      row = tap / tiles.taps_across;
      column = tap - row * tiles.taps_across;
    }
    __device__ void load(const PatchTiles& tiles, const ClusterPlace& cluster, Barrier& full,
                         unsigned char* stage) const {
      load_patches(tiles.patches, full, stage, channel, pixel.w, pixel.h, pixel.image,
                   column * tiles.tap_across, row * tiles.tap_down);
      load_columns<kColumns>(
          cluster, tiles.filters, full, stage + kPackedRows * kTileLineBytes, channel, output,
          tiles.first_filter + row * tiles.filter_down + column * tiles.filter_across);
    }
    __device__ void advance(const PatchTiles& tiles) {
      channel += kStageDepth<Number>;
      if (channel < tiles.channels) return;
      channel = 0;
      if (++column < tiles.taps_across) return;
      column = 0;
      ++row;
    }
  };
};

// The gradient of the filters: A are patches, turned, and B is dy, turned. k counts the pixels, of
// which a step has 64; what is side by side in memory are channels, so that only bfloat16 can be
// multiplied. Rows of D are 64 channels of one tap after the other, zeros behind the last channel.
struct FilterGradientTiles {
  using Number = Bfloat16;
  static constexpr int kPixels = kStageDepth<Number>, kSideBySide = 64;
  static constexpr int kPartBytes = kPixels * kTileLineBytes;
  using Order = AcrossDepth<kPixels>;
  TensorMap patches, gradients;
  PatchPlaces places;
  int channels, taps, taps_across, tap_down, tap_across;

  // Rows of D for each tap.
  static int64_t padded(int64_t channels) { return divide_up(channels, kSideBySide) * kSideBySide; }

  template <int kColumns>
  struct Cursor {
    static constexpr int kParts = kPackedRows / kSideBySide;
    int pixel, output, channel[kParts], across[kParts], down[kParts];

    __device__ Cursor(const FilterGradientTiles& tiles, const BlockPlace& place, int step)
        : pixel(step * kPixels), output(place.tile_n * kColumns) {
      const int parts_of_tap = (tiles.channels + kSideBySide - 1) / kSideBySide;
      NEURONA_UNROLL
      for (int i = 0; i < kParts; ++i) {
        const int part = place.tile_m * kParts + i, tap = part / parts_of_tap;
        // Beyond the last tap there are rows that nobody stores: the first tap will do.
        const bool inside = tap < tiles.taps;
        const int row = tap / tiles.taps_across, column = tap - row * tiles.taps_across;
        channel[i] = inside ? (part - tap * parts_of_tap) * kSideBySide : 0;
        down[i] = inside ? row * tiles.tap_down : 0;
        across[i] = inside ? column * tiles.tap_across : 0;
      }
    }
    __device__ void load(const FilterGradientTiles& tiles, const ClusterPlace& cluster,
                         Barrier& full, unsigned char* stage) const {
      const PatchPlaces::Pixel at = tiles.places[pixel];
      NEURONA_UNROLL
      for (int i = 0; i < kParts; ++i)
        load_patches(tiles.patches, full, stage + i * kPartBytes, channel[i], at.w, at.h, at.image,
                     across[i], down[i]);
      NEURONA_UNROLL
      for (int i = 0; i < kColumns / kSideBySide; ++i) {
        unsigned char* columns = stage + (kParts + i) * kPartBytes;
        const int first = output + i * kSideBySide;
        if (cluster.blocks == 1)
          load_tile(tiles.gradients, full, columns, first, pixel, 0);
        else if (i % cluster.blocks == cluster.rank)
          load_tile_for(cluster.all(), tiles.gradients, full, columns, first, pixel, 0);
      }
    }
    __device__ void advance(const FilterGradientTiles&) { pixel += kPixels; }
  };
};

}  // namespace neurona
