// Depthwise convolution, groups == C == K: no channel is mixed with another, so there is no product
// to tile. Each output pixel sums the taps that lie inside the image, with vectors along the
// channels; weights are reordered to (R, S, C) first. A row at a time, so that a vector of channels
// keeps its weights in registers (3x3: 9 loads per vector of outputs in the place of 18).
#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/conv2d_variants.h"

namespace neurona {
namespace {

constexpr int64_t kChunks = 8;  // of output rows, when weights' gradients are summed: fixed, so
                                // that bits do not depend on threads

// w (C, 1, R, S) to (R, S, C), with the columns in reverse if `turned`.
void reorder_weight(const Conv2dShape& shape, const float* weight, bool turned, float* reordered) {
  for (int64_t c = 0; c < shape.c; ++c)
    for (int64_t r = 0; r < shape.r; ++r)
      for (int64_t s = 0; s < shape.s; ++s) {
        const int64_t column = turned ? shape.s - 1 - s : s;
        reordered[(r * shape.s + column) * shape.c + c] = *weight++;
      }
}

// Tap `index` of a position reads position `source` of the other side.
struct Tap {
  int64_t source, index;
};

// For each position along one axis, the taps that lie inside. Made once per call, because finding
// them takes divisions.
class AxisTaps {
 public:
  explicit AxisTaps(int64_t positions) : starts_{0} { starts_.reserve(positions + 1); }
  void add(Tap tap) { taps_.push_back(tap); }
  void end_position() { starts_.push_back(taps_.size()); }
  std::span<const Tap> operator[](int64_t position) const {
    return {taps_.data() + starts_[position], taps_.data() + starts_[position + 1]};
  }

 private:
  std::vector<Tap> taps_;
  std::vector<size_t> starts_;
};

// Outputs, inputs and taps along one axis.
std::array<int64_t, 3> extents(const Conv2dShape& shape, int axis) {
  if (axis == 0) return {shape.p, shape.h, shape.r};
  return {shape.q, shape.w, shape.s};
}

// Output p reads input p * stride + r * dilation - padding.
AxisTaps forward_taps(const Conv2dShape& shape, int axis) {
  const auto [outputs, inputs, kernel] = extents(shape, axis);
  AxisTaps taps(outputs);
  for (int64_t p = 0; p < outputs; ++p) {
    for (int64_t r = 0; r < kernel; ++r) {
      const int64_t source =
          p * shape.stride[axis] + r * shape.dilation[axis] - shape.padding[axis];
      if (source >= 0 && source < inputs) taps.add({source, r});
    }
    taps.end_position();
  }
  return taps;
}

// Input h was read by output p = (h + padding - r * dilation) / stride, where that is whole.
AxisTaps gradient_taps(const Conv2dShape& shape, int axis) {
  const auto [outputs, inputs, kernel] = extents(shape, axis);
  AxisTaps taps(inputs);
  for (int64_t h = 0; h < inputs; ++h) {
    for (int64_t r = 0; r < kernel; ++r) {
      const int64_t step = h + shape.padding[axis] - r * shape.dilation[axis];
      if (step >= 0 && step % shape.stride[axis] == 0 && step / shape.stride[axis] < outputs)
        taps.add({step / shape.stride[axis], r});
    }
    taps.end_position();
  }
  return taps;
}

// A row of outputs of `image` after `image` (height rows each), from the rows of a source that its
// taps reach; along the row, the taps are `row`'s.
struct Rows {
  AxisTaps taps;
  DepthwiseRow row;
  int64_t images, height, source_height;
};

void run_rows(const Rows& rows, int64_t kernel_height, const float* weight, const float* bias,
              TileActivation activation, const float* source, float* out) {
  const DepthwiseRow& row = rows.row;
  const int64_t line = row.inputs * row.channels, filter = row.taps * row.channels;
  parallel_for(rows.images * rows.height, grain_for(row.outputs * filter * kernel_height),
               [&](int64_t begin, int64_t end) {
                 std::vector<const float*> inputs(kernel_height), weights(kernel_height);
                 for (int64_t i = begin; i < end; ++i) {
                   const float* image = source + i / rows.height * rows.source_height * line;
                   int64_t count = 0;
                   for (const Tap tap : rows.taps[i % rows.height]) {
                     inputs[count] = image + tap.source * line;
                     weights[count++] = weight + tap.index * filter;
                   }
                   kernels().depthwise.row(row,
                                           {count, inputs.data(), weights.data(), bias, activation},
                                           out + i * row.outputs * row.channels);
                 }
               });
}

// The gradient of an image whose outputs lie apart: each pixel has its own taps.
void run_pixels(const Conv2dShape& shape, const float* dy, const float* weight, const float* bias,
                float* dx) {
  const AxisTaps rows = gradient_taps(shape, 0), columns = gradient_taps(shape, 1);
  const int64_t channels = shape.c;
  parallel_for(shape.n * shape.h, grain_for(shape.w * channels * shape.r * shape.s),
               [&](int64_t begin, int64_t end) {
                 std::vector<const float*> sources(shape.r * shape.s), weights(shape.r * shape.s);
                 for (int64_t line = begin; line < end; ++line)
                   for (int64_t column = 0; column < shape.w; ++column) {
                     int64_t count = 0;
                     for (const Tap row : rows[line % shape.h])
                       for (const Tap tap : columns[column]) {
                         sources[count] =
                             dy + ((line / shape.h * shape.p + row.source) * shape.q + tap.source) *
                                      channels;
                         weights[count++] = weight + (row.index * shape.s + tap.index) * channels;
                       }
                     kernels().depthwise.pixel(sources.data(), weights.data(), count, bias,
                                               channels, dx + (line * shape.w + column) * channels);
                   }
               });
}

DepthwiseRow forward_row(const Conv2dShape& shape) {
  return {shape.q, shape.w, shape.s, shape.stride[1], shape.dilation[1], shape.padding[1], shape.c};
}

// Sums of a chunk's rows, [tap][channel].
void add_rows(const Conv2dShape& shape, const AxisTaps& rows, int64_t first, int64_t last,
              const float* dy, const float* x, float* sums) {
  const DepthwiseRow row = forward_row(shape);
  for (int64_t line = first; line < last; ++line)
    for (const Tap tap : rows[line % shape.p])
      kernels().depthwise.row_gradient(
          row, x + (line / shape.p * shape.h + tap.source) * shape.w * shape.c,
          dy + line * shape.q * shape.c, sums + tap.index * shape.s * shape.c);
}

}  // namespace

void conv2d_depthwise_forward(const Conv2dShape& shape, const float* x, const float* weight,
                              const float* bias, TileActivation activation, float* y) {
  const Scratch<float> reordered(shape.weight_size());
  reorder_weight(shape, weight, false, reordered.data());
  run_rows({forward_taps(shape, 0), forward_row(shape), shape.n, shape.p, shape.h}, shape.r,
           reordered.data(), bias, activation, x, y);
}

void conv2d_depthwise_backward_data(const Conv2dShape& shape, const float* dy, const float* weight,
                                    const float* bias, float* dx) {
  const Scratch<float> reordered(shape.weight_size());
  const bool dense = shape.stride[1] == 1;  // then the taps, turned, read dy as forward ones do
  reorder_weight(shape, weight, dense, reordered.data());
  if (!dense) return run_pixels(shape, dy, reordered.data(), bias, dx);
  const int64_t padding = (shape.s - 1) * shape.dilation[1] - shape.padding[1];
  run_rows({gradient_taps(shape, 0),
            {shape.w, shape.q, shape.s, 1, shape.dilation[1], padding, shape.c},
            shape.n,
            shape.h,
            shape.p},
           shape.r, reordered.data(), bias, TileActivation::kNone, dy, dx);
}

void conv2d_depthwise_backward_weight(const Conv2dShape& shape, const float* dy, const float* x,
                                      float* dw) {
  const int64_t taps = shape.r * shape.s, rows = shape.n * shape.p,
                chunks = std::max<int64_t>(1, std::min(kChunks, rows));
  const Scratch<float> sums(chunks * taps * shape.c);
  std::fill_n(sums.data(), chunks * taps * shape.c, 0.0f);
  const AxisTaps row_taps = forward_taps(shape, 0);
  parallel_for(chunks, grain_for(shape.multiply_adds() / chunks), [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk)
      add_rows(shape, row_taps, rows * chunk / chunks, rows * (chunk + 1) / chunks, dy, x,
               sums.data() + chunk * taps * shape.c);
  });
  for (int64_t c = 0; c < shape.c; ++c)
    for (int64_t tap = 0; tap < taps; ++tap) {
      float sum = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += sums[(chunk * taps + tap) * shape.c + c];
      dw[c * taps + tap] = sum;
    }
}

}  // namespace neurona
