// The pixels of one block of the backward-weight pass, as its tiles read them: in place, from a
// padded copy, or from panels. See conv2d_direct_weight.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/arena.h"
#include "core/conv2d_shape.h"
#include "core/divide.h"
#include "kernels/select.h"

namespace neurona {

constexpr int kMaxRuns = 256;  // rows of pixels of a block

// Whether a group's dW is small enough for each chunk of pixels to have one of its own: beyond 256
// KiB they would pass through L3 with every block.
inline bool has_small_weight(const Conv2dShape& shape) {
  return shape.group_k() * shape.group_c() * shape.r * shape.s <= (256 << 10) / 4;
}

// One group of the convolution, or some channels and filters of it.
struct WeightPass {
  const Conv2dShape& shape;
  const GemmKernels& kernel;
  const float* x;
  const float* dy;
  int64_t group_c, group_k;  // of this pass
  bool packed;
  int64_t x_width;  // channels of a panel of x: the tile's height, evened out over the panels
  int64_t x_panels, k_panels;
  int64_t block_rows, blocks;  // output rows per block, blocks per image
  int64_t block_images;   // images per block: more than one only where a block holds whole images
  bool use_slab, merged;  // merged: the taps of a kernel row are one stretch of S * C channels
  int64_t slab_columns;
  bool asks_ahead;  // for what the next block reads in place

  // `channels` of x from x_part on, and `filters` from dy_part on.
  WeightPass(const Conv2dShape& s, const float* x_part, const float* dy_part, int64_t channels,
             int64_t filters);

  int64_t slab_rows(int64_t rows) const {
    return (rows - 1) * shape.stride[0] + (shape.r - 1) * shape.dilation[0] + 1;
  }
  int64_t slab_pixels() const { return slab_rows(block_rows) * slab_columns; }
  int64_t block_pixels() const { return block_images * block_rows * shape.q; }
  int64_t panel_width(int64_t panel) const {
    return group_k - panel * kernel.columns > kernel.lanes ? kernel.columns : kernel.lanes;
  }
  int64_t accumulator_size() const { return shape.r * shape.s * group_c * group_k; }
  int64_t tasks() const { return divide_up(shape.n, block_images) * blocks; }
};

// A thread's copies of a block.
struct WeightWorkspace {
  Scratch<float> slab, x_panels, dy_panels;
  explicit WeightWorkspace(const WeightPass& pass);
};

// The pixels of one block as the tiles see them.
struct WeightBlock {
  const float*
      x;  // source position of output pixel (first row, 0) of the first image under tap (0, 0)
  int64_t image, line, pixel;  // floats from one image, row, pixel of the source to the next
  int64_t x_panel;             // floats from one panel of x to the next (packed)
  const float* dy;
  int64_t images, rows;
};

// Block `task` of the pass; what has to be copied goes to `work`.
WeightBlock view_block(const WeightPass& pass, int64_t task, WeightWorkspace& work);

}  // namespace neurona
