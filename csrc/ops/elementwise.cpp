// y = a op b under broadcasting. The axes are put in the order of y's memory and neighbours that
// all three arrays walk evenly are merged, so that most cases become one or two axes: one loop, a
// bias along rows, a scale per row.
#include "ops/elementwise.h"

#include <algorithm>

#include "core/cpu.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Elements per thread at least: 12 bytes of traffic each, about 10 microseconds from cache.
constexpr int64_t kGrain = 32768;
// A row shorter than this many floats costs more in loop overhead than in arithmetic ...
constexpr int64_t kShortRow = 128;
// ... so several of them are made into one, up to this many floats of a repeated operand on the
// stack (4 KiB).
constexpr int64_t kLongRow = 1024;

struct Axis {
  int64_t extent, a, b, y;  // strides in elements
};

// Outermost first, extents of 1 dropped, mergeable neighbours merged; at least one axis.
std::vector<Axis> merged_axes(const Broadcast& a, const Broadcast& b,
                              const std::vector<int64_t>& shape,
                              const std::vector<int64_t>& y_strides) {
  std::vector<Axis> axes;
  axes.reserve(shape.size());
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1) axes.push_back({shape[i], a.strides[i], b.strides[i], y_strides[i]});
  std::sort(axes.begin(), axes.end(),
            [](const Axis& left, const Axis& right) { return left.y > right.y; });
  std::vector<Axis> merged;
  merged.reserve(axes.size() + 1);
  for (const Axis& axis : axes) {
    if (!merged.empty()) {
      Axis& outer = merged.back();
      if (outer.a == axis.a * axis.extent && outer.b == axis.b * axis.extent &&
          outer.y == axis.y * axis.extent) {
        outer = {outer.extent * axis.extent, axis.a, axis.b, axis.y};
        continue;
      }
    }
    merged.push_back(axis);
  }
  if (merged.empty()) merged.push_back({1, 0, 0, 1});
  return merged;
}

// rows x length with one short operand that repeats in each row: `repeats` rows become one, the
// operand laid out as often.
void short_rows(Arithmetic operation, bool a_repeats, const float* varying, const float* repeated,
                float* y, int64_t rows, int64_t length) {
  const auto kernel = kernels().elementwise.arithmetic[static_cast<int>(operation)];
  float pattern[kLongRow];
  const int64_t repeats = kLongRow / length;
  for (int64_t i = 0; i < repeats; ++i) std::copy_n(repeated, length, pattern + i * length);
  const auto run = [&](int64_t first_row, int64_t count, int64_t width) {
    const ConstRows moving{varying + first_row * length, width, 1}, fixed{pattern, 0, 1};
    kernel(a_repeats ? fixed : moving, a_repeats ? moving : fixed, y + first_row * length, count,
           width, false);
  };
  parallel_for(rows, kGrain / length, [&](int64_t begin, int64_t end) {
    const int64_t whole = (end - begin) / repeats;
    run(begin, whole, repeats * length);
    run(begin + whole * repeats, 1, (end - begin - whole * repeats) * length);
  });
}

// The general case: rows along the last axis, the kernel called for each stack of rows along the
// one before.
void stacked_rows(Arithmetic operation, const std::vector<Axis>& axes, const float* a,
                  const float* b, float* y) {
  const auto kernel = kernels().elementwise.arithmetic[static_cast<int>(operation)];
  const Axis row = axes.back(), stack = axes[axes.size() - 2];
  const size_t outer = axes.size() - 2;
  int64_t rows = stack.extent;
  for (size_t i = 0; i < outer; ++i) rows *= axes[i].extent;
  parallel_for(rows, kGrain / row.extent + 1, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      int64_t rest = begin / stack.extent;
      const int64_t first = begin % stack.extent,
                    count = std::min(end - begin, stack.extent - first);
      int64_t a_start = first * stack.a, b_start = first * stack.b;
      for (size_t i = outer; i-- > 0;) {
        a_start += rest % axes[i].extent * axes[i].a;
        b_start += rest % axes[i].extent * axes[i].b;
        rest /= axes[i].extent;
      }
      kernel({a + a_start, stack.a, row.a}, {b + b_start, stack.b, row.b}, y + begin * row.extent,
             count, row.extent, false);
      begin += count;
    }
  });
}

void flat(Arithmetic operation, const ConstRows& a, const ConstRows& b, float* y, int64_t count) {
  const auto kernel = kernels().elementwise.arithmetic[static_cast<int>(operation)];
  const bool in_place = y == a.data || y == b.data;
  const bool past_caches =
      !in_place && outgrows_caches((1 + a.step + b.step) * count * int64_t{sizeof(float)});
  parallel_for(count, kGrain, [&](int64_t begin, int64_t end) {
    kernel({a.data + begin * a.step, 0, a.step}, {b.data + begin * b.step, 0, b.step}, y + begin, 1,
           end - begin, past_caches);
  });
}

}  // namespace

void arithmetic_dense(Arithmetic operation, const float* a, const float* b, float* y,
                      int64_t count) {
  flat(operation, {a, 0, 1}, {b, 0, 1}, y, count);
}

void arithmetic_scalar(Arithmetic operation, const float* a, float b, float* y, int64_t count) {
  flat(operation, {a, 0, 1}, {&b, 0, 0}, y, count);
}

void arithmetic_scalar(Arithmetic operation, float a, const float* b, float* y, int64_t count) {
  flat(operation, {&a, 0, 0}, {b, 0, 1}, y, count);
}

void arithmetic_broadcast(Arithmetic operation, const Broadcast& a, const Broadcast& b, float* y,
                          const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& y_strides) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return;
  const std::vector<Axis> axes = merged_axes(a, b, shape, y_strides);
  const Axis row = axes.back();
  if (axes.size() == 1)
    return flat(operation, {a.data, 0, row.a}, {b.data, 0, row.b}, y, row.extent);
  if (axes.size() == 2 && row.extent < kShortRow && row.a == 1 && row.b == 1) {
    const Axis stack = axes.front();
    if (stack.b == 0 && stack.a == row.extent)
      return short_rows(operation, false, a.data, b.data, y, stack.extent, row.extent);
    if (stack.a == 0 && stack.b == row.extent)
      return short_rows(operation, true, b.data, a.data, y, stack.extent, row.extent);
  }
  stacked_rows(operation, axes, a.data, b.data, y);
}

}  // namespace neurona
