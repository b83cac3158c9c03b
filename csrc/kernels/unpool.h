// Routines of max unpooling for images (H, W, channels) that are made of windows of 2 x 2 pixels,
// one row of windows at a time; see ops/unpool2d.h.
#pragma once

#include <stdint.h>

namespace neurona {

// `first` is the place of the first window's first pixel in its image, whose places are below 2^31;
// the windows are all those of two rows, and `channels` at least `lanes`. Both return whether all
// indices are places in their own windows; if not, the output is of no use. past_caches: how to
// store, see stream.inl.
struct UnpoolKernels {
  int lanes;
  // Two rows of y, whole: x where its indices say, 0 elsewhere.
  bool (*fill_windows)(int64_t windows, int64_t channels, int64_t first, const float* x,
                       const int64_t* indices, float* y, bool past_caches);
  // dx of a row from two rows of dy.
  bool (*read_windows)(int64_t windows, int64_t channels, int64_t first, const float* dy,
                       const int64_t* indices, float* dx, bool past_caches);
};

}  // namespace neurona
