#include "ops/avg_pool2d.h"

#include <algorithm>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

struct Span {
  int64_t begin, end;  // pixels of the image that the window takes
  int64_t divisor;
};

// Spans along one axis, as tables: by window, and turned round, by pixel.
class Spans {
 public:
  template <typename SpanOf>
  Spans(int64_t size, int64_t windows, const SpanOf& span_of)
      : size_(size), windows_(windows), limits_(2 * (size + windows)), scale_(2 * windows) {
    for (int64_t i = 0; i < windows; ++i) {
      const Span span = span_of(i);
      begin()[i] = span.begin;
      end()[i] = span.end;
      scale_[i] = static_cast<float>(span.divisor);
      scale_[windows + i] = static_cast<float>(1.0 / static_cast<double>(span.divisor));
    }
    // Both limits only grow with the window, so that the windows over a pixel are a range as well.
    int64_t first = 0, last = 0;
    for (int64_t pixel = 0; pixel < size; ++pixel) {
      while (last < windows && begin()[last] <= pixel) ++last;
      while (first < last && end()[first] <= pixel) ++first;
      pixel_begin()[pixel] = first;
      pixel_end()[pixel] = last;
    }
  }

  int64_t* begin() const { return limits_.data(); }
  int64_t* end() const { return begin() + windows_; }
  int64_t* pixel_begin() const { return end() + windows_; }
  int64_t* pixel_end() const { return pixel_begin() + size_; }
  const float* divisor() const { return scale_.data(); }
  const float* reciprocal() const { return scale_.data() + windows_; }

  PoolSpans by_window() const { return {begin(), end(), divisor(), windows_}; }
  PoolSpans by_pixel() const { return {pixel_begin(), pixel_end(), reciprocal(), size_}; }

 private:
  int64_t size_, windows_;
  Scratch<int64_t> limits_;
  Scratch<float> scale_;
};

struct SpanPair {
  Spans height, width;
};

// An override is put on the height, since the divisor of a window is the product of both.
Spans average_spans(const Pool2dShape& shape, const AverageDivisor& divisor, int axis) {
  const auto& window = shape.window;
  const int64_t size = axis == 0 ? shape.h : shape.w, windows = axis == 0 ? shape.p : shape.q;
  return Spans(size, windows, [&](int64_t i) -> Span {
    const int64_t start = i * window.stride[axis] - window.padding[axis],
                  stop = start + window.kernel[axis];
    const int64_t begin = std::max<int64_t>(start, 0), end = std::min(stop, size);
    if (divisor.override) return {begin, end, axis == 0 ? divisor.override : 1};
    const int64_t padded = std::min(stop, size + window.padding[axis]) - start;
    return {begin, end, divisor.count_include_pad ? padded : end - begin};
  });
}

Spans adaptive_spans(int64_t size, int64_t windows) {
  return Spans(size, windows, [&](int64_t i) -> Span {
    const int64_t begin = i * size / windows, end = ((i + 1) * size + windows - 1) / windows;
    return {begin, end, end - begin};
  });
}

void average(const Pool2dShape& shape, const SpanPair& spans, const float* x, float* y) {
  const int64_t row = shape.w * shape.c;
  const float* x_end = x + shape.n * shape.h * row;
  const auto average_row = kernels().pool2d.average_row;
  const int64_t cost = row * std::max<int64_t>(1, shape.h / shape.p) + shape.q * shape.c;
  parallel_for(shape.n * shape.p, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t p = i % shape.p, first = spans.height.begin()[p];
      average_row(shape.c, spans.width.by_window(), x + (i / shape.p * shape.h + first) * row,
                  x_end, spans.height.end()[p] - first, row, spans.height.divisor()[p],
                  y + i * shape.q * shape.c, y + end * shape.q * shape.c);
    }
  });
}

void average_backward(const Pool2dShape& shape, const SpanPair& spans, const float* dy, float* dx) {
  const int64_t row = shape.q * shape.c;
  const float* dy_end = dy + shape.n * shape.p * row;
  const auto backward_row = kernels().pool2d.average_backward_row;
  parallel_for(
      shape.n * shape.h, grain_for(shape.w * shape.c * 4), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t h = i % shape.h, first = spans.height.pixel_begin()[h];
          backward_row(shape.c, spans.width.by_pixel(), dy + (i / shape.h * shape.p + first) * row,
                       dy_end, spans.height.pixel_end()[h] - first, row,
                       spans.height.reciprocal() + first, dx + i * shape.w * shape.c,
                       dx + end * shape.w * shape.c);
        }
      });
}

}  // namespace

void avg_pool2d_forward(const Pool2dShape& shape, const AverageDivisor& divisor, const float* x,
                        float* y) {
  average(shape, {average_spans(shape, divisor, 0), average_spans(shape, divisor, 1)}, x, y);
}

void avg_pool2d_backward(const Pool2dShape& shape, const AverageDivisor& divisor, const float* dy,
                         float* dx) {
  average_backward(shape, {average_spans(shape, divisor, 0), average_spans(shape, divisor, 1)}, dy,
                   dx);
}

void adaptive_avg_pool2d_forward(const Pool2dShape& shape, const float* x, float* y) {
  average(shape, {adaptive_spans(shape.h, shape.p), adaptive_spans(shape.w, shape.q)}, x, y);
}

void adaptive_avg_pool2d_backward(const Pool2dShape& shape, const float* dy, float* dx) {
  average_backward(shape, {adaptive_spans(shape.h, shape.p), adaptive_spans(shape.w, shape.q)}, dy,
                   dx);
}

}  // namespace neurona
