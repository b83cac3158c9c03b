#include "kernels/depthwise.h"

#include "kernels/activate.inl"
#include "kernels/partial.inl"

namespace neurona::NEURONA_ISA {
namespace {

void pixel(const float* const* sources, const float* const* weights, int64_t taps,
           const float* bias, int64_t channels, float* out) {
  int64_t c = 0;
  // Four vectors at a time: four independent chains cover the latency of the multiply-add.
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes) {
    Vec sum[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[v] = bias ? load(bias + c + v * kLanes) : Vec{};
    for (int64_t t = 0; t < taps; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
        sum[v] += load(sources[t] + c + v * kLanes) * load(weights[t] + c + v * kLanes);
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) store(out + c + v * kLanes, sum[v]);
  }
  for (; c < channels; c += kLanes) {
    const int n = static_cast<int>(channels - c < kLanes ? channels - c : kLanes);
    Vec sum = Vec{};
    if (n == kLanes) {
      if (bias) sum = load(bias + c);
      for (int64_t t = 0; t < taps; ++t) sum += load(sources[t] + c) * load(weights[t] + c);
      store(out + c, sum);
    } else {
      if (bias) sum = load_partial(bias + c, n);
      for (int64_t t = 0; t < taps; ++t)
        sum += load_partial(sources[t] + c, n) * load_partial(weights[t] + c, n);
      store_partial(out + c, sum, n);
    }
  }
}

// Outputs [begin, end) of a row for n channels from c on. The weights of `Lines` lines of three
// taps stay in registers; those of other shapes (Lines = 0) are loaded where they are used.
// `inside`: no tap reads beyond the row. The arguments are copies, because a store could change
// what is read through a reference.
template <int Lines>
NEURONA_INLINE void outputs(const DepthwiseRow row, const DepthwiseLines lines, int64_t c, int n,
                            int64_t begin, int64_t end, bool inside, float* out) {
  const Vec bias = lines.bias ? load_first(lines.bias + c, n) : Vec{};
  const int64_t next = row.dilation * row.channels;
  const float* lefts[Lines ? Lines : 1];
  Vec kept[Lines ? Lines : 1][3];
  if constexpr (Lines > 0) {
#pragma GCC unroll 3
    for (int i = 0; i < Lines; ++i) {
      lefts[i] = lines.inputs[i] + c;
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s)
        kept[i][s] = load_first(lines.weights[i] + c + s * row.channels, n);
    }
  }
  for (int64_t q = begin; q < end; ++q) {
    const int64_t first = q * row.stride - row.padding, left = first * row.channels;
    const auto reads = [&](int64_t s) {
      const int64_t w = first + s * row.dilation;
      return inside || (w >= 0 && w < row.inputs);
    };
    Vec sum = bias;
    if constexpr (Lines > 0) {
#pragma GCC unroll 3
      for (int i = 0; i < Lines; ++i)
#pragma GCC unroll 3
        for (int s = 0; s < 3; ++s)
          if (reads(s)) sum += load_first(lefts[i] + (left + s * next), n) * kept[i][s];
    } else {
      for (int64_t i = 0; i < lines.count; ++i)
        for (int64_t s = 0; s < row.taps; ++s)
          if (reads(s))
            sum += load_first(lines.inputs[i] + (c + left + s * next), n) *
                   load_first(lines.weights[i] + c + s * row.channels, n);
    }
    store_first(out + q * row.channels, activate(sum, lines.activation), n);
  }
}

template <int Lines>
void row_of(const DepthwiseRow& row, const DepthwiseLines& lines, float* out) {
  const int64_t reach = (row.taps - 1) * row.dilation;
  // The outputs between those that read beyond the left end and those beyond the right one. As a
  // gradient's, the padding may be negative.
  const int64_t left = row.padding > 0 ? (row.padding + row.stride - 1) / row.stride : 0,
                right = (row.inputs - 1 - reach + row.padding + row.stride) / row.stride;
  const int64_t begin = left < row.outputs ? left : row.outputs,
                stop = right < row.outputs ? right : row.outputs, end = stop < begin ? begin : stop;
  for (int64_t c = 0; c < row.channels; c += kLanes) {
    const int n = static_cast<int>(row.channels - c < kLanes ? row.channels - c : kLanes);
    if (n == kLanes) {
      outputs<Lines>(row, lines, c, kLanes, 0, begin, false, out + c);
      outputs<Lines>(row, lines, c, kLanes, begin, end, true, out + c);
      outputs<Lines>(row, lines, c, kLanes, end, row.outputs, false, out + c);
    } else {
      outputs<Lines>(row, lines, c, n, 0, begin, false, out + c);
      outputs<Lines>(row, lines, c, n, begin, end, true, out + c);
      outputs<Lines>(row, lines, c, n, end, row.outputs, false, out + c);
    }
  }
}

void row(const DepthwiseRow& row, const DepthwiseLines& lines, float* out) {
  if (row.taps == 3 && lines.count == 3) return row_of<3>(row, lines, out);
  if (row.taps == 3 && lines.count == 2) return row_of<2>(row, lines, out);
  row_of<0>(row, lines, out);
}

// Taps whose sums stay in registers during a row.
constexpr int kTapsAtOnce = 4;

// `Taps` successive taps, the first of which reads input q * stride + shift, for n lanes.
template <int Taps>
NEURONA_INLINE void row_taps(const DepthwiseRow& row, int64_t shift, const float* x,
                             const float* dy, int n, float* sums) {
  Vec sum[Taps];
#pragma GCC unroll 4
  for (int t = 0; t < Taps; ++t) sum[t] = load_first(sums + t * row.channels, n);
  for (int64_t q = 0; q < row.outputs; ++q) {
    const Vec gradient = load_first(dy + q * row.channels, n);
    const int64_t first = q * row.stride + shift;
#pragma GCC unroll 4
    for (int t = 0; t < Taps; ++t) {
      const int64_t w = first + t * row.dilation;
      if (w >= 0 && w < row.inputs) sum[t] += load_first(x + w * row.channels, n) * gradient;
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < Taps; ++t) store_first(sums + t * row.channels, sum[t], n);
}

template <int Taps>
void some_row_taps(int taps, const DepthwiseRow& row, int64_t shift, const float* x,
                   const float* dy, int n, float* sums) {
  if constexpr (Taps > 1) {
    if (taps < Taps) return some_row_taps<Taps - 1>(taps, row, shift, x, dy, n, sums);
  }
  if (n == kLanes) {
    row_taps<Taps>(row, shift, x, dy, kLanes, sums);
  } else {
    row_taps<Taps>(row, shift, x, dy, n, sums);
  }
}

void row_gradient(const DepthwiseRow& row, const float* x, const float* dy, float* sums) {
  for (int64_t tap = 0; tap < row.taps; tap += kTapsAtOnce) {
    const int taps = static_cast<int>(row.taps - tap < kTapsAtOnce ? row.taps - tap : kTapsAtOnce);
    for (int64_t c = 0; c < row.channels; c += kLanes)
      some_row_taps<kTapsAtOnce>(
          taps, row, tap * row.dilation - row.padding, x + c, dy + c,
          static_cast<int>(row.channels - c < kLanes ? row.channels - c : kLanes),
          sums + tap * row.channels + c);
  }
}

}  // namespace

DepthwiseKernels depthwise_kernels() { return {row, pixel, row_gradient}; }

}  // namespace neurona::NEURONA_ISA
