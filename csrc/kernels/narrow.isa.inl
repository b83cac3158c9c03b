#include "kernels/narrow.h"

#include "kernels/gemm_tile.inl"
#include "kernels/simd.inl"

namespace neurona::NEURONA_ISA {
namespace {

// Accumulators of a forward tile and of a gradient: one more register holds the weights or dy, and
// expanded lines come from memory.
#if defined(NEURONA_ISA_avx512) || defined(NEURONA_ISA_neon)
constexpr int kForwardVectors = 14, kSums = 25;
#else
constexpr int kForwardVectors = 12, kSums = 12;
#endif

// A vector is `pixels` broadcasts under masks; two pixels are the usual case (K of 6 to 8 with 16
// lanes), where the loop over them would cost more than they do.
template <int kPixels>
NEURONA_INLINE void expand_line(const float* line, int64_t count, const IntVec* masks,
                                int64_t pixels, float* vectors) {
  const IntVec first = masks[0], second = masks[1];
  for (int64_t m = 0; m < count; ++m) {
    Vec v = select(first, broadcast(line[m]), Vec{});
    v = select(second, broadcast(line[m + 1]), v);
    if (kPixels == 0)
      for (int64_t j = 2; j < pixels; ++j) v = select(masks[j], broadcast(line[m + j]), v);
    store(vectors + m * kLanes, v);
  }
}

void expand(const float* source, int64_t rows, int64_t columns, int64_t channels, float* vectors) {
  const int64_t pixels = kLanes / channels, count = columns - pixels + 1;
  IntVec masks[kLanes] = {};
  for (int64_t j = 0; j < pixels; ++j)
    for (int64_t k = 0; k < channels; ++k) masks[j][j * channels + k] = -1;
  for (int64_t row = 0; row < rows; ++row, source += columns, vectors += count * kLanes)
    if (pixels == 2) {
      expand_line<2>(source, count, masks, pixels, vectors);
    } else {
      expand_line<0>(source, count, masks, pixels, vectors);
    }
}

// `T` vectors of output pixels, from the expanded line positions of the first one under tap (0, 0).
// kPixels per vector, or as many as K leaves room for when 0.
template <int T, int kPixels>
NEURONA_INLINE void forward_tile(const NarrowImage& image, const float* source,
                                 const float* weights, Vec bias, TileActivation activation,
                                 float* y, int64_t columns) {
  const int64_t pixels = kPixels ? kPixels : kLanes / image.channels;
  Vec acc[T];
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) acc[t] = Vec{};
  for (int64_t r = 0; r < image.taps_high; ++r) {
    const float* line = source + r * image.line;
    for (int64_t s = 0; s < image.taps_wide; ++s, weights += kLanes, line += kLanes) {
      const Vec weight = load(weights);
#pragma GCC unroll 16
      for (int t = 0; t < T; ++t) multiply_add_vector(acc[t], line + t * pixels * kLanes, weight);
    }
  }
  const int64_t step = pixels * image.channels;
#pragma GCC unroll 16
  for (int t = 0; t < T; ++t) {
    const int64_t left = columns * image.channels - t * step;
    store_partial(y + t * step, activate(acc[t] + bias, activation),
                  static_cast<int>(left < step ? left : step));
  }
}

// A row, as many vectors at a time as there are, T at most.
template <int T, int kPixels>
NEURONA_INLINE void forward_tiles(const NarrowImage& image, const float* source,
                                  const float* weights, Vec bias, TileActivation activation,
                                  float* y, int64_t columns) {
  const int64_t pixels = kPixels ? kPixels : kLanes / image.channels;
  for (; columns > (T - 1) * pixels; columns -= T * pixels) {
    forward_tile<T, kPixels>(image, source, weights, bias, activation, y, columns);
    source += T * pixels * kLanes;
    y += T * pixels * image.channels;
  }
  if constexpr (T > 1) {
    if (columns > 0)
      forward_tiles<T / 2, kPixels>(image, source, weights, bias, activation, y, columns);
  }
}

void forward(const NarrowImage& image, const float* weights, const float* bias,
             TileActivation activation, float* y) {
  const Vec bias_vector = load(bias);
  for (int64_t p = 0; p < image.rows; ++p) {
    const float* source = image.lines + p * image.line;
    float* row = y + p * image.columns * image.channels;
    if (kLanes / image.channels == 2) {
      forward_tiles<kForwardVectors, 2>(image, source, weights, bias_vector, activation, row,
                                        image.columns);
    } else {
      forward_tiles<4, 0>(image, source, weights, bias_vector, activation, row, image.columns);
    }
  }
}

// The taps of `R` kernel rows of `S`, from row `first` on, over the whole image.
template <int R, int S>
void weight_rows(const NarrowImage& image, int64_t first, const float* dy, float* sums) {
  const int64_t pixels = kLanes / image.channels, step = pixels * image.channels;
  Vec acc[R][S];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) acc[r][s] = load(sums + (r * S + s) * kLanes);
  for (int64_t p = 0; p < image.rows; ++p) {
    const float* source = image.lines + (p + first) * image.line;
    for (int64_t left = image.columns * image.channels; left > 0; left -= step) {
      const Vec gradient = load_partial(dy, static_cast<int>(left < step ? left : step));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s)
          multiply_add_vector(acc[r][s], source + r * image.line + s * kLanes, gradient);
      dy += left < step ? left : step;
      source += pixels * kLanes;
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) store(sums + (r * S + s) * kLanes, acc[r][s]);
}

// Kernel rows in groups of R, the rest in smaller ones.
template <int R, int S>
void weight_groups(const NarrowImage& image, int64_t first, const float* dy, float* sums) {
  for (; image.taps_high - first >= R; first += R)
    weight_rows<R, S>(image, first, dy, sums + first * S * kLanes);
  if constexpr (R > 1) weight_groups<R - 1, S>(image, first, dy, sums);
}

void weight(const NarrowImage& image, const float* dy, float* sums) {
  if (image.taps_wide == 3) {
    weight_groups<kSums / 3 < 5 ? kSums / 3 : 5, 3>(image, 0, dy, sums);
  } else {
    weight_groups<kSums / 5, 5>(image, 0, dy, sums);
  }
}

}  // namespace

NarrowKernels narrow_kernels() { return {kLanes, expand, forward, weight}; }

}  // namespace neurona::NEURONA_ISA
