#include "core/conv2d_shape.h"

#include <algorithm>
#include <cstring>

#include "core/errors.h"

namespace neurona {
namespace {

// Sizes beyond this cannot be allocated anyway; below it, sums and products of two sizes fit 64
// bits with room to spare.
constexpr int64_t kLargest = int64_t{1} << 40;

std::string text(const Pair& pair) { return shape_text(pair.data(), 2); }

void check_options(const char* op, const Conv2dOptions& options) {
  for (int axis = 0; axis < 2; ++axis) {
    if (options.stride[axis] < 1)
      fail_value(op, "stride must be >= 1 in both axes, got ", text(options.stride));
    if (options.padding[axis] < 0)
      fail_value(op, "padding must be >= 0 in both axes, got ", text(options.padding));
    if (options.dilation[axis] < 1)
      fail_value(op, "dilation must be >= 1 in both axes, got ", text(options.dilation));
    if (options.stride[axis] > kLargest)
      fail_value(op, "stride must be at most 2**40, got ", text(options.stride));
    if (options.padding[axis] > kLargest)
      fail_value(op, "padding must be at most 2**40, got ", text(options.padding));
    if (options.dilation[axis] > kLargest)
      fail_value(op, "dilation must be at most 2**40, got ", text(options.dilation));
  }
  if (options.groups < 1) fail_value(op, "groups must be >= 1, got ", options.groups);
}

void check_weight(const char* op, const int64_t weight[4], const char* layout) {
  for (int axis = 0; axis < 4; ++axis)
    if (weight[axis] < 1)
      fail_value(op, "weight must have no empty axis, ", layout, ", got ", shape_text(weight, 4));
}

void check_image(const char* op, const char* argument, const int64_t image[4]) {
  for (int axis = 1; axis < 4; ++axis)
    if (image[axis] < 1)
      fail_value(op, argument,
                 " must have at least one channel, row and column, (N, C, H, W), got ",
                 shape_text(image, 4));
}

int64_t effective_kernel(const char* op, int64_t kernel, int64_t dilation) {
  int64_t span = 0;
  if (__builtin_mul_overflow(dilation, kernel - 1, &span) || span > kLargest)
    fail_value(op, "dilation * (kernel_size - 1) must be at most 2**40, got dilation ", dilation,
               " and kernel_size ", kernel);
  return span + 1;
}

int64_t output_size(const char* op, const char* axis, int64_t input, int64_t kernel, int64_t stride,
                    int64_t padding, int64_t dilation) {
  const int64_t effective = effective_kernel(op, kernel, dilation), padded = input + 2 * padding;
  if (effective > padded)
    fail_value(op, "the kernel must fit into the padded input, got a kernel of effective ", axis,
               " ", effective, " and a padded input of ", axis, " ", padded);
  return (padded - effective) / stride + 1;
}

}  // namespace

Conv2dShape conv2d_shape(const char* op, const int64_t x[4], const int64_t weight[4],
                         const Conv2dOptions& options) {
  check_options(op, options);
  check_weight(op, weight, "(K, C/groups, R, S)");
  check_image(op, "x", x);
  const int64_t groups = options.groups;
  if (x[1] % groups != 0)
    fail_value(op, "groups must divide the input channels, got groups ", groups, " and ", x[1],
               " channels");
  if (weight[0] % groups != 0)
    fail_value(op, "groups must divide the output channels, got groups ", groups, " and ",
               weight[0], " channels");
  if (weight[1] * groups != x[1])
    fail_value(op, "x must have weight.shape[1] * groups = ", weight[1] * groups,
               " channels, got x ", shape_text(x, 4), " and weight ", shape_text(weight, 4));
  const Pair &stride = options.stride, &padding = options.padding, &dilation = options.dilation;
  return {x[0],
          x[1],
          x[2],
          x[3],
          weight[0],
          weight[2],
          weight[3],
          output_size(op, "height", x[2], weight[2], stride[0], padding[0], dilation[0]),
          output_size(op, "width", x[3], weight[3], stride[1], padding[1], dilation[1]),
          stride,
          padding,
          dilation,
          groups};
}

Conv2dShape conv_transpose2d_shape(const char* op, const int64_t input[4], const int64_t weight[4],
                                   const Conv2dOptions& options, const Pair& output_padding) {
  check_options(op, options);
  check_weight(op, weight, "(C, K/groups, R, S)");
  check_image(op, "x", input);
  const int64_t groups = options.groups;
  if (weight[0] != input[1])
    fail_value(op, "x must have weight.shape[0] = ", weight[0], " channels, got ", input[1], ": x ",
               shape_text(input, 4), ", weight ", shape_text(weight, 4));
  if (weight[0] % groups != 0)
    fail_value(op, "groups must divide the input channels, got groups ", groups, " and ", weight[0],
               " channels");
  Pair size{};
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t stride = options.stride[axis], dilation = options.dilation[axis];
    if (output_padding[axis] < 0 || output_padding[axis] >= std::max(stride, dilation))
      fail_value(op, "output_padding must be >= 0 and smaller than max(stride, dilation) = ",
                 std::max(stride, dilation), ", got ", text(output_padding));
    int64_t spread = 0;
    if (__builtin_mul_overflow(input[2 + axis] - 1, stride, &spread) || spread > kLargest)
      fail_value(op, "stride must leave an output of at most 2**40, got stride ",
                 text(options.stride));
    size[axis] = spread - 2 * options.padding[axis] +
                 effective_kernel(op, weight[2 + axis], dilation) + output_padding[axis];
    if (size[axis] < 1)
      fail_value(op, "padding must leave an output of at least one pixel, got padding ",
                 text(options.padding), " and output size ", size[axis]);
  }
  return {input[0],        weight[1] * groups, size[0],  size[1],  weight[0],
          weight[2],       weight[3],          input[2], input[3], options.stride,
          options.padding, options.dilation,   groups};
}

std::array<int64_t, 4> conv_transpose2d_input(const char* op, const int64_t dy[4],
                                              const int64_t weight[4], const Conv2dOptions& options,
                                              const Pair& output_padding) {
  check_options(op, options);
  check_weight(op, weight, "(C, K/groups, R, S)");
  check_image(op, "dy", dy);
  std::array<int64_t, 4> input{dy[0], weight[0], 0, 0};
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t effective = effective_kernel(op, weight[2 + axis], options.dilation[axis]);
    const int64_t reach =
        dy[2 + axis] + 2 * options.padding[axis] - effective - output_padding[axis];
    if (reach < 0)
      fail_value(op, "dy must be at least as large as the kernel minus twice the padding, got dy ",
                 shape_text(dy, 4), ", effective kernel ", effective, ", padding ",
                 text(options.padding), ", output_padding ", text(output_padding));
    input[2 + axis] = reach / options.stride[axis] + 1;
  }
  return input;
}

void check_conv2d_gradient(const char* op, const Conv2dShape& shape, const int64_t dy[4]) {
  const int64_t expected[4] = {shape.n, shape.k, shape.p, shape.q};
  if (std::memcmp(dy, expected, sizeof expected) != 0)
    fail_value(op, "dy must have the output's shape ", shape_text(expected, 4), ", got ",
               shape_text(dy, 4));
}

}  // namespace neurona
