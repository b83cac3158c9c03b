// y = a op b under broadcasting. The axes are put in the order of y's memory, which makes y dense,
// and neighbours that both operands walk evenly are merged, so that most cases become one or two
// axes: one loop, a bias along rows, a scale per row.
#include "ops/elementwise.h"

#include <algorithm>

#include "cuda/axes.h"
#include "cuda/common/lanes.cuh"
#include "cuda/common/map.cuh"

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

// Rows that one thread walks.
constexpr int kRowsPerThread = 8;

// A block covers `width` columns, a power of two, of kBlock / width rows at a time. Columns are
// groups of as many elements as a thread loads at once.
struct Rows {
  int64_t count, length;  // of all rows
  int64_t tiles;          // that cover a row
  int width;
};

// Elements of an operand from `column` on in a row that begins at `row`; the innermost stride is 1
// or 0 where there are several.
template <int kLanes>
__device__ inline Lanes<float, kLanes> operand(const float* row, int64_t column, int64_t stride) {
  if (kLanes == 1) return {{row[column * stride]}};
  if (stride != 0) return reinterpret_cast<const Lanes<float, kLanes>*>(row)[column];
  Lanes<float, kLanes> repeated;
  NEURONA_UNROLL
  for (int lane = 0; lane < kLanes; ++lane) repeated[lane] = row[0];
  return repeated;
}

// a and b along the innermost of `axes`, then the outer ones.
template <int kLanes, typename Function>
__global__ void __launch_bounds__(kBlock, 4)
    broadcast_kernel(Function f, Axes<2> axes, Rows rows, const float* a, const float* b,
                     Lanes<float, kLanes>* y) {
  wait_for_earlier_kernels();
  constexpr int kRowsAtOnce = kLanes == 4 ? 2 : 4;  // whose loads are under way together
  const int height = kBlock / rows.width, in_height = static_cast<int>(threadIdx.x) / rows.width;
  const int64_t groups = (rows.count + height * kRowsPerThread - 1) / (height * kRowsPerThread);
  for (int64_t task = blockIdx.x; task < groups * rows.tiles; task += gridDim.x) {
    const int64_t group = task / rows.tiles, tile = task - group * rows.tiles;
    const int64_t column = tile * rows.width + threadIdx.x % rows.width;
    if (column >= rows.length) continue;
    const int64_t first = group * height * kRowsPerThread + in_height;
    for (int begin = 0; begin < kRowsPerThread; begin += kRowsAtOnce) {
      Lanes<float, kLanes> left[kRowsAtOnce], right[kRowsAtOnce];
      NEURONA_UNROLL
      for (int i = 0; i < kRowsAtOnce; ++i) {
        const int64_t row = first + (begin + i) * height;
        if (row >= rows.count) continue;
        const Offsets<2> start = offsets_of(axes, row, 1);
        left[i] = operand<kLanes>(a + start.of[0], column, axes.stride[0][0]);
        right[i] = operand<kLanes>(b + start.of[1], column, axes.stride[0][1]);
      }
      NEURONA_UNROLL
      for (int i = 0; i < kRowsAtOnce; ++i) {
        const int64_t row = first + (begin + i) * height;
        if (row >= rows.count) continue;
        Lanes<float, kLanes> result;
        NEURONA_UNROLL
        for (int lane = 0; lane < kLanes; ++lane) result[lane] = f(left[i][lane], right[i][lane]);
        y[row * rows.length + column] = result;
      }
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

// Whether both operands walk the innermost axis one by one or not at all, and every row of theirs
// begins at a multiple of four elements.
bool goes_in_fours(const Axes<2>& axes) {
  if (axes.count == 0) return false;
  for (int i = 0; i < 2; ++i) {
    const int64_t innermost = axes.stride[0][i];
    if (innermost != 0 && innermost != 1) return false;
    for (int axis = 1; innermost == 1 && axis < axes.count; ++axis)
      if (axes.stride[axis][i] % 4 != 0) return false;
  }
  return true;
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
  with_lanes(goes_in_fours(axes) ? length : 1, {a, b, y}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    Rows rows{count / length, length / kLanes, 0, 1};
    while (rows.width < rows.length && rows.width < kBlock) rows.width *= 2;
    rows.tiles = divide_up(rows.length, rows.width);
    const int64_t tasks = divide_up(rows.count, kBlock / rows.width * kRowsPerThread) * rows.tiles;
    launch(kName, broadcast_kernel<kLanes, Function>, overlapping(over_elements(tasks * kBlock)), f,
           axes, rows, a, b, as_lanes<kLanes>(y));
  });
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
