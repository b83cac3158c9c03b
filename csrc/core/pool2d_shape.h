// Sizes of a pooling over (N, C, H, W) with windows of (R, S) elements, and their rules.
#pragma once

#include <array>
#include <cstdint>

namespace neurona {

// Pairs (height, width).
struct Pool2dWindow {
  std::array<int64_t, 2> kernel, stride, padding, dilation{1, 1};
  bool ceil_mode = false;
};

struct Pool2dShape {
  int64_t n, c, h, w, p, q;
  Pool2dWindow window;

  int64_t elements() const { return window.kernel[0] * window.kernel[1]; }
  bool byte_offsets() const {
    return elements() <= 255;
  }  // else the offset of a winner is an int32
};

// P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1, W and Q alike; ceil_mode rounds
// up, then drops a last window that would start beyond the image and its left padding.
//
// ValueError when a parameter is out of range, when padding exceeds half the extent of the window,
// when the window exceeds the padded image, and when dilation makes some window miss the image
// altogether. So P <= H + 1 and Q <= W + 1, and no product of sizes below can overflow that the
// arrays themselves do not.
Pool2dShape pool2d_shape(const char* op, const std::array<int64_t, 4>& input,
                         const Pool2dWindow& window);

// The rules that need no image: for callers that must know the window before the image.
void check_window(const char* op, const Pool2dWindow& window);

// ValueError unless C, H and W are at least 1; `layout` names the axes, "(N, C, H, W)".
void check_not_empty(const char* op, const char* argument, const std::array<int64_t, 4>& shape,
                     const char* layout);

// ValueError unless both are in [minimum, 2^31).
void check_range(const char* op, const char* name, const std::array<int64_t, 2>& pair,
                 int64_t minimum);

// ValueError: element `at` of the offsets, counted in memory, is `offset`, which is none of its
// window or outside the image.
[[noreturn]] void fail_offset(const char* op, const Pool2dShape& shape, int64_t at, int64_t offset);

}  // namespace neurona
