#include "ops/pool2d.h"

#include <algorithm>
#include <atomic>

#include "core/arena.h"
#include "core/cpu.h"
#include "core/prefetch.h"
#include "core/thread_pool.h"
#include "kernels/select.h"
#include "ops/activation.h"

namespace neurona {
namespace {

PoolGeometry pool_geometry(const Pool2dShape& shape) {
  const auto& window = shape.window;
  const auto axis = [&](int i, int64_t size, int64_t windows) -> PoolAxis {
    const int64_t taps = window.kernel[i], stride = window.stride[i], padding = window.padding[i];
    const int64_t room = size + padding - (taps - 1) * window.dilation[i] -
                         1;  // start of the last whole window, from the padding
    const int64_t first = std::min(windows, (padding + stride - 1) / stride);
    const int64_t end = room < 0 ? first : std::clamp(room / stride + 1, first, windows);
    return {size, windows, taps, stride, padding, window.dilation[i], first, end};
  };
  return {shape.c, axis(0, shape.h, shape.p), axis(1, shape.w, shape.q)};
}

OffsetKind offset_kind(const Pool2dShape& shape) {
  return shape.byte_offsets() ? kByteOffsets : kIntOffsets;
}

int64_t offset_bytes(const Pool2dShape& shape) { return shape.byte_offsets() ? 1 : 4; }

// The offset of element `at`.
int64_t offset_at(const Pool2dShape& shape, const void* offsets, int64_t at) {
  return shape.byte_offsets() ? static_cast<const uint8_t*>(offsets)[at]
                              : static_cast<const int32_t*>(offsets)[at];
}

// Position in row n * P + p of offsets of the first one outside the image, or -1. Only windows that
// padding cuts need a look at each element.
int64_t first_wrong_offset(const Pool2dShape& shape, const PoolGeometry& geometry, int64_t row,
                           const void* offsets) {
  const int64_t length = shape.q * shape.c, first = row * length;
  const TapRange rows = taps_inside(geometry.height, row % shape.p);
  const int64_t columns = shape.window.kernel[1];
  const auto wrong = [&](int64_t i) {
    const int64_t offset = offset_at(shape, offsets, first + i);
    const TapRange inside = taps_inside(geometry.width, i / shape.c);
    return offset < rows.begin * columns || offset >= rows.end * columns ||
           offset % columns < inside.begin || offset % columns >= inside.end;
  };
  const void* start = static_cast<const char*>(offsets) + first * offset_bytes(shape);
  const bool too_large =
      kernels().pool2d.largest_offset[offset_kind(shape)](start, length) >= shape.elements();
  const bool cut = geometry.height.is_cut(row % shape.p);
  for (int64_t q = 0; q < shape.q; ++q)
    if (too_large || cut || geometry.width.is_cut(q))
      for (int64_t i = q * shape.c; i < (q + 1) * shape.c; ++i)
        if (wrong(i)) return i;
  return -1;
}

// Whether every offset is smaller than the window has elements: all there is to check when the
// edges of the image cut no window.
bool all_below(const Pool2dShape& shape, const void* offsets) {
  const int64_t count = shape.n * shape.p * shape.q * shape.c, size = offset_bytes(shape);
  const auto largest = kernels().pool2d.largest_offset[offset_kind(shape)];
  std::atomic<bool> below{true};
  parallel_for(count, grain_for(size), [&](int64_t begin, int64_t end) {
    const void* start = static_cast<const char*>(offsets) + begin * size;
    if (largest(start, end - begin) >= shape.elements()) below.store(false);
  });
  return below.load();
}

int64_t gradient_bytes(const Pool2dShape& shape) {
  return shape.n * shape.c * (shape.h * shape.w + shape.p * shape.q) *
         static_cast<int64_t>(sizeof(float));
}

// Whether dx is worth storing past the caches, and can be (64 channels of 56x56, batch 64: 1.9 to
// 1.55 ms).
bool can_pass_caches(const Pool2dShape& shape, const PoolGeometry& geometry, const float* dx) {
  const int64_t lanes = kernels().gemm.lanes;
  const auto vector_bytes = static_cast<uintptr_t>(lanes) * sizeof(float);
  return outgrows_caches(gradient_bytes(shape)) && shape.c % lanes == 0 &&
         reinterpret_cast<uintptr_t>(dx) % vector_bytes == 0 &&
         geometry.width.taps >= geometry.width.stride;
}

}  // namespace

void select_pool2d_forward(const Pool2dShape& shape, Extremum extremum, const float* x, float* y,
                           void* offsets) {
  const PoolGeometry geometry = pool_geometry(shape);
  const int64_t image = shape.h * shape.w * shape.c, row = shape.q * shape.c;
  const auto select_row =
      kernels()
          .pool2d.select_row[extremum == Extremum::kMin][offsets ? offset_kind(shape) : kNoOffsets];
  const float* x_end = x + shape.n * image;
  parallel_for(
      shape.n * shape.p, grain_for(row * (shape.elements() + 2)), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          void* row_offsets =
              offsets ? static_cast<char*>(offsets) + i * row * offset_bytes(shape) : nullptr;
          select_row(geometry, i % shape.p, x + i / shape.p * image, x_end, y + i * row,
                     y + end * row, row_offsets);
        }
      });
}

namespace {

void gather_gradients(const Pool2dShape& shape, const float* dy, const void* offsets, float* dx) {
  const PoolGeometry geometry = pool_geometry(shape);
  const int64_t image = shape.p * shape.q * shape.c, row = shape.w * shape.c;
  const auto backward_row = kernels().pool2d.select_backward_row[offset_kind(shape)];
  const float* dy_end = dy + shape.n * image;
  const bool asks_ahead = comes_from_memory(gradient_bytes(shape)),
             past_caches = can_pass_caches(shape, geometry, dx);
  parallel_for(shape.n * shape.h, grain_for(row * 4), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / shape.h * image;
      const void* image_offsets = static_cast<const char*>(offsets) + first * offset_bytes(shape);
      backward_row(geometry, i % shape.h, dy + first, image_offsets, dy_end, dx + i * row,
                   dx + end * row, asks_ahead, past_caches);
    }
  });
}

}  // namespace

void select_pool2d_backward(const char* op, const Pool2dShape& shape, const float* dy,
                            const void* offsets, const float* rectified, float* dx) {
  check_offsets(op, shape, offsets);
  if (rectified) {
    const int64_t count = shape.n * shape.p * shape.q * shape.c;
    const Scratch<float> above(count);
    activation_backward(Activation::kRelu, dy, rectified, above.data(), count);
    return gather_gradients(shape, above.data(), offsets, dx);
  }
  gather_gradients(shape, dy, offsets, dx);
}

void pool2d_indices(const Pool2dShape& shape, const void* offsets, int64_t* indices) {
  const auto& window = shape.window;
  const int64_t row = shape.q * shape.c;
  parallel_for(shape.n * shape.p, grain_for(row * 8), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t top = i % shape.p * window.stride[0] - window.padding[0];
      for (int64_t q = 0, at = i * row; q < shape.q; ++q) {
        const int64_t left = q * window.stride[1] - window.padding[1];
        for (int64_t c = 0; c < shape.c; ++c, ++at) {
          const int64_t offset = offset_at(shape, offsets, at);
          const int64_t r = offset / window.kernel[1], s = offset % window.kernel[1];
          indices[at] = (top + r * window.dilation[0]) * shape.w + left + s * window.dilation[1];
        }
      }
    }
  });
}

void check_offsets(const char* op, const Pool2dShape& shape, const void* offsets) {
  const PoolGeometry geometry = pool_geometry(shape);
  const int64_t rows = shape.n * shape.p, length = shape.q * shape.c;
  if (!geometry.height.any_cut() && !geometry.width.any_cut() && all_below(shape, offsets)) return;
  std::atomic<int64_t> first{-1};
  parallel_for(rows, grain_for(length), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t i = first_wrong_offset(shape, geometry, row, offsets);
      if (i < 0) continue;
      int64_t at = row * length + i, known = first.load();
      while ((known < 0 || at < known) && !first.compare_exchange_weak(known, at)) {
      }
      return;
    }
  });
  const int64_t at = first.load();
  if (at < 0) return;
  fail_offset(op, shape, at, offset_at(shape, offsets, at));
}

}  // namespace neurona
