// Sources of the three products of a convolution (see product.cuh). Images are NHWC in memory, and
// a product's batches are the convolution's groups.
#pragma once

#include <type_traits>

#include "core/conv2d_shape.h"
#include "cuda/device.h"
#include "cuda/common/divisor.cuh"
#include "cuda/product/product.cuh"
#include "cuda/ptx/global.cuh"

namespace neurona {

// A row or column of an image from which no number below 2^30 leads back to it: that of what does
// not exist. Pixels that do not exist have such a row and taps such a column, so that both together
// are not found either.
constexpr unsigned kNowhere = 0x80000000u;

// kWidth elements of a line from a step on, or zeros; without a branch (ptxas predicates the load),
// so that several are under way at once. Two or four are one load.
template <int kWidth, typename Source>
__device__ inline void elements_or_zeros(const Source& source, const typename Source::Line& line,
                                         const typename Source::Step& step, float* elements) {
  const bool is_there = source.has(line, step);
  if constexpr (kWidth == 4) {
    float4 four = make_float4(0, 0, 0, 0);
    if (is_there) four = load_global(reinterpret_cast<const float4*>(source.place(line, step)));
    elements[0] = four.x;
    elements[1] = four.y;
    elements[2] = four.z;
    elements[3] = four.w;
  } else if constexpr (kWidth == 2) {
    float2 two = make_float2(0, 0);
    if (is_there) two = load_global(reinterpret_cast<const float2*>(source.place(line, step)));
    elements[0] = two.x;
    elements[1] = two.y;
  } else {
    static_assert(kWidth == 1);
    elements[0] = 0;
    if (is_there) elements[0] = load_global(source.place(line, step));
  }
}

// conv2d_plan.cu sees to it that pixels, and an image's elements with its padding, are so few. Only
// a stride or dilation may be larger, of which nobody takes more than none then.
inline int in_32_bits(int64_t number) { return static_cast<int>(number); }

// The patches of x: element (pixel (n, p, q), tap (r, s, c)) is x[n, p stride + r dilation -
// padding, .., c], or 0 beyond the image. Lines are the pixels (forward: neighbours along k are
// channels side by side), or the taps (the gradient of the weights: neighbours among the lines
// are).
template <bool kPixelsAreLines>
class PatchSource {
 public:
  static constexpr bool kDepthIsContiguous = kPixelsAreLines;
  static constexpr bool kIsEverywhere = false;

  PatchSource(const Conv2dShape& shape, const float* x)
      : x_(x),
        pixels_(shape.n * shape.p * shape.q),
        taps_(shape.r * shape.s * shape.group_c()),
        height_(in_32_bits(shape.h)),
        width_(in_32_bits(shape.w)),
        channels_(in_32_bits(shape.c)),
        group_channels_(in_32_bits(shape.group_c())),
        stride_h_(in_32_bits(shape.stride[0])),
        stride_w_(in_32_bits(shape.stride[1])),
        padding_h_(in_32_bits(shape.padding[0])),
        padding_w_(in_32_bits(shape.padding[1])),
        dilation_h_(in_32_bits(shape.dilation[0])),
        dilation_w_(in_32_bits(shape.dilation[1])),
        by_p_(shape.p),
        by_q_(shape.q),
        by_s_(shape.s),
        by_c_(shape.group_c()) {}

  // The place of an output pixel's first tap, which may lie beyond the image, and where it would be
  // read. Both fit few registers, since a thread holds 8 of these, and need few instructions for
  // each tap. Below 0 places wrap around, beyond every end.
  struct Pixel {
    const float* first;
    unsigned h = kNowhere, w = 0;
  };
  // What a tap adds to that place, in elements with its channel: conv2d_plan.cu sees to it that 32
  // bits are enough.
  struct Tap {
    unsigned h = 0, w = kNowhere;
    int elements = 0;
  };
  using Line = std::conditional_t<kPixelsAreLines, Pixel, Tap>;
  using Step = std::conditional_t<kPixelsAreLines, Tap, Pixel>;

  __device__ Line line(int64_t batch, int64_t index) const {
    if constexpr (kPixelsAreLines)
      return index < pixels_ ? pixel(index) : Pixel{x_};
    else
      return index < taps_ ? tap(batch, index) : Tap{};
  }
  __device__ Step step(int64_t batch, int64_t k) const {
    if constexpr (kPixelsAreLines)
      return tap(batch, k);
    else
      return pixel(k);
  }
  // Whether there is such an element, and where it is if so. Otherwise the place is one that nobody
  // reads, but no offset of a null pointer.
  __device__ bool has(const Line& line, const Step& step) const {
    return line.h + step.h < static_cast<unsigned>(height_) &&
           line.w + step.w < static_cast<unsigned>(width_);
  }
  __device__ const float* place(const Line& line, const Step& step) const {
    if constexpr (kPixelsAreLines)
      return line.first + step.elements;
    else
      return step.first + line.elements;
  }
  __device__ const float* address(const Line& line, const Step& step) const {
    return has(line, step) ? place(line, step) : nullptr;
  }
  __device__ const float* first() const { return x_; }
  // Neighbours are channels of one pixel.
  bool is_in_fours(int64_t) const { return are_in_fours(x_, channels_, group_channels_); }
  bool is_in_pairs() const { return are_in_pairs(x_, channels_, group_channels_); }

 private:
  __device__ Pixel pixel(int64_t index) const {
    const auto row = divide(static_cast<int>(index), by_q_), image = divide(row.quotient, by_p_);
    const int h = image.remainder * stride_h_ - padding_h_,
              w = row.remainder * stride_w_ - padding_w_;
    return {x_ + int64_t{(image.quotient * height_ + h) * width_ + w} * channels_,
            static_cast<unsigned>(h), static_cast<unsigned>(w)};
  }
  __device__ Tap tap(int64_t group, int64_t index) const {
    const auto channel = divide(static_cast<int>(index), by_c_),
               column = divide(channel.quotient, by_s_);
    const int h = column.quotient * dilation_h_, w = column.remainder * dilation_w_,
              c = static_cast<int>(group) * group_channels_ + channel.remainder;
    return {static_cast<unsigned>(h), static_cast<unsigned>(w), (h * width_ + w) * channels_ + c};
  }

  const float* x_;
  int64_t pixels_, taps_;
  int height_, width_, channels_, group_channels_;
  int stride_h_, stride_w_, padding_h_, padding_w_, dilation_h_, dilation_w_;
  Divisor by_p_, by_q_, by_s_, by_c_;
};

// The pixels of an axis whose gradients come from the same taps: those at which (place + padding)
// leaves one remainder by the stride. A stride of 2 makes two such sets, of half the pixels and
// half the taps each, where one product over all taps would multiply zeros three times out of four.
struct Remainder {
  int64_t first, count;     // pixels first, first + stride, ..
  int64_t first_tap, taps;  // taps first_tap, first_tap + tap_step, ..
  int64_t tap_step;
  int64_t first_output;  // what the first pixel's first tap read from ..
  int64_t output_step;   // .. and how far before it the next tap's output lies
};

inline Remainder remainder_of(const Conv2dShape& shape, int axis, int64_t residue) {
  const int64_t stride = shape.stride[axis], dilation = shape.dilation[axis],
                padding = shape.padding[axis], size = axis == 0 ? shape.h : shape.w,
                kernel = axis == 0 ? shape.r : shape.s;
  Remainder set{};
  set.first = ((residue - padding) % stride + stride) % stride;
  set.count = set.first < size ? divide_up(size - set.first, stride) : 0;
  // Taps r with r dilation = residue modulo the stride: one in every `tap_step`, if any.
  set.tap_step = 1;
  while (set.tap_step * dilation % stride != 0) ++set.tap_step;
  while (set.first_tap < set.tap_step && set.first_tap * dilation % stride != residue)
    ++set.first_tap;
  const bool reached = set.first_tap < set.tap_step && set.first_tap < kernel;
  set.taps = reached ? divide_up(kernel - set.first_tap, set.tap_step) : 0;
  set.first_output = (set.first + padding - set.first_tap * dilation) / stride;
  set.output_step = set.tap_step * dilation / stride;
  return set;
}

// The outputs that read a pixel of x: element (pixel (n, h, w), (tap, k)) is dy[n, p, q, k] with p
// the output whose tap read row h, or 0 where there is none.
class GradientSource {
 public:
  static constexpr bool kDepthIsContiguous = true;
  static constexpr bool kIsEverywhere = false;

  GradientSource(const Conv2dShape& shape, const Remainder& rows, const Remainder& columns,
                 const float* dy)
      : dy_(dy),
        pixels_(shape.n * rows.count * columns.count),
        height_(in_32_bits(shape.p)),
        width_(in_32_bits(shape.q)),
        channels_(in_32_bits(shape.k)),
        group_channels_(in_32_bits(shape.group_k())),
        first_p_(in_32_bits(rows.first_output)),
        first_q_(in_32_bits(columns.first_output)),
        step_p_(in_32_bits(rows.output_step)),
        step_q_(in_32_bits(columns.output_step)),
        by_row_(rows.count),
        by_column_(columns.count),
        by_tap_(columns.taps),
        by_k_(shape.group_k()) {}

  // As of patches: the output that the first tap reads from, and how far before it others lie.
  struct Line {
    const float* first = nullptr;
    unsigned p = kNowhere, q = 0;
  };
  struct Step {
    unsigned p = 0, q = kNowhere;
    int elements = 0;
  };

  __device__ Line line(int64_t, int64_t index) const {
    if (index >= pixels_) return {dy_};
    const auto row = divide(static_cast<int>(index), by_column_),
               image = divide(row.quotient, by_row_);
    const int p = first_p_ + image.remainder, q = first_q_ + row.remainder;
    return {dy_ + int64_t{(image.quotient * height_ + p) * width_ + q} * channels_,
            static_cast<unsigned>(p), static_cast<unsigned>(q)};
  }
  __device__ Step step(int64_t group, int64_t index) const {
    const auto channel = divide(static_cast<int>(index), by_k_),
               column = divide(channel.quotient, by_tap_);
    const int p = column.quotient * step_p_, q = column.remainder * step_q_,
              k = static_cast<int>(group) * group_channels_ + channel.remainder;
    return {static_cast<unsigned>(p), static_cast<unsigned>(q), k - (p * width_ + q) * channels_};
  }
  __device__ bool has(const Line& line, const Step& step) const {
    return line.p - step.p < static_cast<unsigned>(height_) &&
           line.q - step.q < static_cast<unsigned>(width_);
  }
  __device__ const float* place(const Line& line, const Step& step) const {
    return line.first + step.elements;
  }
  __device__ const float* address(const Line& line, const Step& step) const {
    return has(line, step) ? place(line, step) : nullptr;
  }
  __device__ const float* first() const { return dy_; }
  bool is_in_fours(int64_t) const { return are_in_fours(dy_, channels_, group_channels_); }
  bool is_in_pairs() const { return are_in_pairs(dy_, channels_, group_channels_); }

 private:
  const float* dy_;
  int64_t pixels_;
  int height_, width_, channels_, group_channels_;
  int first_p_, first_q_, step_p_, step_q_;
  Divisor by_row_, by_column_, by_tap_, by_k_;
};

}  // namespace neurona
