// y = a op b under broadcasting. The axes are put in the order of y's memory, which makes y dense,
// and neighbours that both operands walk evenly are merged, so that most cases become one or two
// axes: one loop, a bias along rows, a scale per row.
#include "ops/elementwise.h"

#include <algorithm>

#include "cuda/axes.h"
#include "cuda/map.cuh"

namespace neurona {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Sub {
  __device__ float operator()(float a, float b) const { return a - b; }
};
struct Mul {
  __device__ float operator()(float a, float b) const { return a * b; }
};
struct Div {
  __device__ float operator()(float a, float b) const { return a / b; }
};

// One operand of f as a number, or as the only element of an array.
template <typename Function>
struct WithLeft {
  Function f;
  float left;
  __device__ float operator()(float right) const { return f(left, right); }
};
template <typename Function>
struct WithRight {
  Function f;
  float right;
  __device__ float operator()(float left) const { return f(left, right); }
};
template <typename Function>
struct WithOneLeft {
  Function f;
  const float* left;
  __device__ float operator()(float right) const { return f(*left, right); }
};
template <typename Function>
struct WithOneRight {
  Function f;
  const float* right;
  __device__ float operator()(float left) const { return f(left, *right); }
};

template <typename Body>
void with_function(Arithmetic operation, const Body& body) {
  switch (operation) {
    case Arithmetic::kAdd: return body(Add{});
    case Arithmetic::kSub: return body(Sub{});
    case Arithmetic::kMul: return body(Mul{});
    case Arithmetic::kDiv: return body(Div{});
  }
}

// Rows that one thread walks: enough to hide the latency of their loads and to share the cost of
// finding the first.
constexpr int kRowsPerThread = 8;

// A block covers `width` columns, a power of two, of kBlock / width rows at a time.
struct Rows {
  int64_t count, length;  // of all rows
  int64_t tiles;          // that cover a row
  int width;
};

// a along the innermost of `axes`, then the outer ones.
template <typename Function>
__global__ void broadcast_kernel(Function f, Axes<2> axes, Rows rows, const float* a,
                                 const float* b, float* y) {
  const int height = kBlock / rows.width, in_height = static_cast<int>(threadIdx.x) / rows.width;
  const int64_t groups = (rows.count + height * kRowsPerThread - 1) / (height * kRowsPerThread);
  for (int64_t task = blockIdx.x; task < groups * rows.tiles; task += gridDim.x) {
    const int64_t group = task / rows.tiles, tile = task - group * rows.tiles;
    const int64_t column = tile * rows.width + threadIdx.x % rows.width;
    if (column >= rows.length) continue;
    const int64_t first = group * height * kRowsPerThread + in_height;
    for (int i = 0; i < kRowsPerThread; ++i) {
      const int64_t row = first + i * height;
      if (row >= rows.count) break;
      const Offsets<2> start = offsets_of(axes, row, 1);
      y[row * rows.length + column] = f(a[start.of[0] + column * axes.stride[0][0]],
                                        b[start.of[1] + column * axes.stride[0][1]]);
    }
  }
}

// Innermost axis of y first.
Axes<2> merged_axes(const Broadcast& a, const Broadcast& b, const std::vector<int64_t>& shape,
                    const std::vector<int64_t>& y_strides) {
  std::vector<size_t> order;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1) order.push_back(i);
  std::sort(order.begin(), order.end(),
            [&](size_t left, size_t right) { return y_strides[left] < y_strides[right]; });
  Axes<2> axes{};
  for (size_t i : order) axes.add("arithmetic", shape[i], {a.strides[i], b.strides[i]});
  return axes;
}

template <typename Function>
void broadcast(const Function& f, const Axes<2>& axes, const float* a, const float* b, float* y) {
  constexpr const char* kName = "arithmetic_broadcast";
  const int64_t count = axes.size(), length = axes.count > 0 ? axes.extent[0] : 1;
  if (axes.count <= 1) {
    // A single element counts as a dense array.
    const bool a_repeats = length > 1 && axes.stride[0][0] == 0,
               b_repeats = length > 1 && axes.stride[0][1] == 0;
    const bool a_dense = length == 1 || axes.stride[0][0] == 1,
               b_dense = length == 1 || axes.stride[0][1] == 1;
    if (a_dense && b_dense) return map(kName, f, a, b, y, count);
    if (a_dense && b_repeats) return map(kName, WithOneRight<Function>{f, b}, a, y, count);
    if (a_repeats && b_dense) return map(kName, WithOneLeft<Function>{f, a}, b, y, count);
  }
  Rows rows{count / length, length, 0, 1};
  while (rows.width < length && rows.width < kBlock) rows.width *= 2;
  rows.tiles = divide_up(length, rows.width);
  const int64_t tasks = divide_up(rows.count, kBlock / rows.width * kRowsPerThread) * rows.tiles;
  launch(kName, broadcast_kernel<Function>, over_elements(tasks * kBlock), f, axes, rows, a, b, y);
}

}  // namespace

void arithmetic_dense(Arithmetic operation, const float* a, const float* b, float* y,
                      int64_t count) {
  with_function(operation, [&](const auto& f) { map("arithmetic_dense", f, a, b, y, count); });
}

void arithmetic_scalar(Arithmetic operation, const float* a, float b, float* y, int64_t count) {
  with_function(operation, [&]<typename Function>(const Function& f) {
    map("arithmetic_scalar", WithRight<Function>{f, b}, a, y, count);
  });
}

void arithmetic_scalar(Arithmetic operation, float a, const float* b, float* y, int64_t count) {
  with_function(operation, [&]<typename Function>(const Function& f) {
    map("arithmetic_scalar", WithLeft<Function>{f, a}, b, y, count);
  });
}

void arithmetic_broadcast(Arithmetic operation, const Broadcast& a, const Broadcast& b, float* y,
                          const std::vector<int64_t>& shape,
                          const std::vector<int64_t>& y_strides) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return;
  const Axes<2> axes = merged_axes(a, b, shape, y_strides);
  with_function(operation, [&](const auto& f) { broadcast(f, axes, a.data, b.data, y); });
}

}  // namespace neurona
