#include "core/pool2d_shape.h"

#include <limits>
#include <string>

#include "core/errors.h"

namespace neurona {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();

std::string text(const std::array<int64_t, 2>& pair) { return shape_text(pair.data(), 2); }

// Image elements from the first to the last one of a window.
int64_t extent(const Pool2dWindow& window, int axis) {
  return window.dilation[axis] * (window.kernel[axis] - 1) + 1;
}

// Only a dilation larger than the image can step over it.
bool all_windows_touch(const Pool2dWindow& window, int axis, int64_t size, int64_t windows) {
  const int64_t step = window.dilation[axis];
  if (step <= size) return true;
  for (int64_t i = 0; i < windows; ++i) {
    const int64_t start = i * window.stride[axis] - window.padding[axis];
    if (start >= 0) return true;
    const int64_t tap = (step - 1 - start) / step;
    if (tap >= window.kernel[axis] || start + tap * step >= size) return false;
  }
  return true;
}

int64_t output_size(const char* op, const Pool2dWindow& window, int axis,
                    const std::array<int64_t, 2>& image) {
  const int64_t stride = window.stride[axis];
  const int64_t room = image[axis] + 2 * window.padding[axis] - extent(window, axis);
  const int64_t steps = window.ceil_mode ? room + stride - 1 : room;
  if (steps < 0)
    fail_value(op, "kernel_size must not exceed the padded input, got kernel_size ",
               text(window.kernel), ", dilation ", text(window.dilation), ", padding ",
               text(window.padding), " for an input of size ", text(image));
  int64_t windows = steps / stride + 1;
  if (window.ceil_mode && (windows - 1) * stride >= image[axis] + window.padding[axis]) --windows;
  if (!all_windows_touch(window, axis, image[axis], windows))
    fail_value(op, "every window must touch the image, got kernel_size ", text(window.kernel),
               ", dilation ", text(window.dilation), ", padding ", text(window.padding),
               " for an input of size ", text(image));
  return windows;
}

}  // namespace

void check_range(const char* op, const char* name, const std::array<int64_t, 2>& pair,
                 int64_t minimum) {
  if (pair[0] < minimum || pair[1] < minimum)
    fail_value(op, name, " must be >= ", minimum, " in both axes, got ", text(pair));
  if (pair[0] > kLargest || pair[1] > kLargest)
    fail_value(op, name, " must be <= ", kLargest, " in both axes, got ", text(pair));
}

void check_window(const char* op, const Pool2dWindow& window) {
  check_range(op, "kernel_size", window.kernel, 1);
  check_range(op, "stride", window.stride, 1);
  check_range(op, "padding", window.padding, 0);
  check_range(op, "dilation", window.dilation, 1);
  for (int axis = 0; axis < 2; ++axis)
    if (window.padding[axis] > extent(window, axis) / 2)
      fail_value(op, "padding must be at most half the effective kernel, got padding ",
                 text(window.padding), " for kernel_size ", text(window.kernel), ", dilation ",
                 text(window.dilation));
  if (window.kernel[0] * window.kernel[1] > kLargest)
    fail_value(op, "kernel_size must have at most ", kLargest, " elements, got ",
               text(window.kernel));
}

void fail_offset(const char* op, const Pool2dShape& shape, int64_t at, int64_t offset) {
  const int64_t position[4] = {at / (shape.c * shape.q * shape.p), at % shape.c,
                               at / (shape.c * shape.q) % shape.p, at / shape.c % shape.q};
  fail_value(op, "offsets must point into the image of size ", text({shape.h, shape.w}), ", got ",
             offset, " at ", shape_text(position, 4));
}

void check_not_empty(const char* op, const char* argument, const std::array<int64_t, 4>& shape,
                     const char* layout) {
  for (int axis = 1; axis < 4; ++axis)
    if (shape[axis] < 1)
      fail_value(op, argument, " must have ", layout[1 + 3 * axis], " >= 1, got shape ",
                 shape_text(shape.data(), 4));
}

Pool2dShape pool2d_shape(const char* op, const std::array<int64_t, 4>& input,
                         const Pool2dWindow& window) {
  check_window(op, window);
  const std::array<int64_t, 2> image{input[2], input[3]};
  return {input[0],
          input[1],
          input[2],
          input[3],
          output_size(op, window, 0, image),
          output_size(op, window, 1, image),
          window};
}

}  // namespace neurona
