// Sizes of a 2-D convolution y = x * w, their rules and the output-size formula; also those of its
// transpose.
//
//   x (N, C, H, W), w (K, C/groups, R, S), y (N, K, P, Q)
//   P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1
#pragma once

#include <array>
#include <cstdint>

namespace neurona {

using Pair = std::array<int64_t, 2>;  // (height, width)

struct Conv2dOptions {
  Pair stride{1, 1}, padding{0, 0}, dilation{1, 1};
  int64_t groups = 1;
};

struct Conv2dShape {
  int64_t n, c, h, w;  // x
  int64_t k, r, s;     // weight
  int64_t p, q;        // y
  Pair stride, padding, dilation;
  int64_t groups;

  int64_t group_c() const { return c / groups; }
  int64_t group_k() const { return k / groups; }
  int64_t weight_size() const { return k * group_c() * r * s; }
  int64_t multiply_adds() const { return n * p * q * weight_size(); }
  int64_t images_bytes() const {  // of x and y
    return n * (c * h * w + k * p * q) * static_cast<int64_t>(sizeof(float));
  }
};

// All of these throw std::invalid_argument naming `op`, the argument, its value and the rule.
Conv2dShape conv2d_shape(const char* op, const int64_t x[4], const int64_t weight[4],
                         const Conv2dOptions& options);

// The shape of the convolution whose backward-data pass is the transposed convolution of an input
// (N, K, P, Q) with a weight (K, C/groups, R, S): here x is the transposed convolution's output.
// output_padding < max(stride, dilation).
Conv2dShape conv_transpose2d_shape(const char* op, const int64_t input[4], const int64_t weight[4],
                                   const Conv2dOptions& options, const Pair& output_padding);

// The input (N, C, H, W) of the transposed convolution whose output has the shape dy: the inverse
// of its size formula, rounded down; compare conv_transpose2d_shape() of it with dy.
std::array<int64_t, 4> conv_transpose2d_input(const char* op, const int64_t dy[4],
                                              const int64_t weight[4], const Conv2dOptions& options,
                                              const Pair& output_padding);

// Checks that dy is (N, K, P, Q) of `shape`.
void check_conv2d_gradient(const char* op, const Conv2dShape& shape, const int64_t dy[4]);

}  // namespace neurona
