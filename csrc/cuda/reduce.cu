// Sums and maxima. The kept axes are counted as one, the outputs, and so are the reduced ones, the
// terms; a block of kBlock threads takes some outputs, with several threads, its lanes, for each:
//
//   the innermost axis is reduced   neighbouring threads are the lanes of one output
//   the innermost axis is kept      neighbouring threads are of neighbouring outputs
//
// so that both read along x. Where that leaves too few blocks the terms are cut into parts, and a
// second kernel puts their results together. Who adds what depends on the shape alone.
#include "ops/reduce.h"

#include <algorithm>
#include <cmath>

#include "cuda/axes.h"
#include "cuda/platform/device_memory.h"

namespace neurona {
namespace {

// Terms that a lane adds in float32 before it goes on in double, and whose loads are under way
// together. Single floats suffice: neighbours read 128 bytes, and what counts is how many of them.
constexpr int kRun = 16;
// Blocks that are enough for any device, and the fewest terms that are worth a lane of a part.
constexpr int64_t kEnoughBlocks = 132 * 8, kTermsPerLane = 16;

// Terms first, first + step, ... below end of an output, `stride` floats apart from term to term.
struct Lane {
  const float* x;
  int64_t first, end, step, stride;
  __device__ float at(int64_t i) const { return x[i * stride]; }
};

// A kind of reduction: what a lane makes of its terms, how two such results are joined, and what is
// written in the end. `number` is the number of a lane's term 0 among those of the output.
struct Sum {
  using Result = double;
  float* y;
  double divisor;

  __device__ static Result nothing() { return 0; }
  __device__ static Result of(const Lane& lane, int64_t) {
    double total = 0;
    int64_t i = lane.first;
    for (; i + (kRun - 1) * lane.step < lane.end; i += kRun * lane.step) {
      float run = 0;
      for (int k = 0; k < kRun; ++k) run += lane.at(i + k * lane.step);
      total += run;
    }
    // Zeros change no sum: one that starts with +0 is never -0.
    float rest[kRun];
    NEURONA_UNROLL
    for (int k = 0; k < kRun; ++k)
      rest[k] = i + k * lane.step < lane.end ? lane.at(i + k * lane.step) : 0;
    NEURONA_UNROLL
    for (int k = 0; k < kRun; ++k) total += rest[k];
    return total;
  }
  __device__ static Result joined(Result a, Result b) { return a + b; }
  __device__ static Result of_lane_behind(Result own, int distance) {
    return __shfl_down_sync(kAllLanes, own, distance);
  }
  __device__ void write(int64_t place, Result total) const {
    y[place] = static_cast<float>(total / divisor);
  }
};

// The largest and its number; of equals the first, and the first NaN before everything.
struct Largest {
  struct Result {
    float value;
    int64_t number;
  };
  float* values;
  int64_t* indices;  // may be null

  __device__ static bool beats(float v, float m) { return v > m || (v != v && m == m); }
  __device__ static Result nothing() { return {-INFINITY, INT64_MAX}; }
  __device__ static Result of(const Lane& lane, int64_t number) {
    if (lane.first >= lane.end) return nothing();
    Result best{-INFINITY, lane.first};  // which the first term beats or equals
    int64_t i = lane.first;
    for (; i + (kRun - 1) * lane.step < lane.end; i += kRun * lane.step) {
      float values[kRun];
      NEURONA_UNROLL
      for (int k = 0; k < kRun; ++k) values[k] = lane.at(i + k * lane.step);
      NEURONA_UNROLL
      for (int k = 0; k < kRun; ++k)
        if (beats(values[k], best.value)) best = {values[k], i + k * lane.step};
    }
    // Together too: one by one they would take as long as many whole runs. -inf beats nothing.
    float rest[kRun];
    NEURONA_UNROLL
    for (int k = 0; k < kRun; ++k)
      rest[k] = i + k * lane.step < lane.end ? lane.at(i + k * lane.step) : -INFINITY;
    NEURONA_UNROLL
    for (int k = 0; k < kRun; ++k)
      if (beats(rest[k], best.value)) best = {rest[k], i + k * lane.step};
    return {best.value, number + best.number};
  }
  __device__ static Result joined(const Result& a, const Result& b) {
    const bool equal = !beats(a.value, b.value) && !beats(b.value, a.value);
    return equal ? (b.number < a.number ? b : a) : (beats(b.value, a.value) ? b : a);
  }
  __device__ static Result of_lane_behind(const Result& own, int distance) {
    return {__shfl_down_sync(kAllLanes, own.value, distance),
            __shfl_down_sync(kAllLanes, own.number, distance)};
  }
  __device__ void write(int64_t place, const Result& result) const {
    values[place] = result.value;
    if (indices) indices[place] = result.number;
  }
};

// How a block's threads are shared out: lanes is a power of two, and so is kBlock / lanes, the
// outputs of a block.
struct Team {
  int lanes;
  bool lanes_are_neighbours;

  __device__ int lane() const {
    const int thread = threadIdx.x;
    return lanes_are_neighbours ? thread % lanes : thread / (kBlock / lanes);
  }
  __device__ int output() const {
    const int thread = threadIdx.x;
    return lanes_are_neighbours ? thread / lanes : thread % (kBlock / lanes);
  }
};

// The results of an output's lanes joined, in its lane 0: halves of them through shared memory, for
// which the whole block waits, until those left are lanes of one warp.
template <typename Kind>
__device__ typename Kind::Result joined_lanes(const Team& team, typename Kind::Result mine) {
  using Result = typename Kind::Result;
  NEURONA_SHARED(Result, results, [kBlock]);
  const int lane = team.lane(), distance = team.lanes_are_neighbours ? 1 : kBlock / team.lanes,
            in_warp = team.lanes_are_neighbours ? kWarpSize : 1;
  int left = team.lanes;
  if (left > in_warp) {
    Result* own = results + threadIdx.x;
    *own = mine;
    for (; left > in_warp; left /= 2) {
      __syncthreads();
      if (lane < left / 2) *own = Kind::joined(*own, own[left / 2 * distance]);
    }
    mine = *own;
    __syncthreads();  // before the next call writes
  }
  for (int half = left / 2; half > 0; half /= 2) {
    const Result other = Kind::of_lane_behind(mine, half);
    if (lane < half) mine = Kind::joined(mine, other);
  }
  return mine;
}

struct Shape {
  Axes<2> outputs;  // of x and y
  Axes<1> terms;    // of x
  int64_t output_count, term_count;
  Team team;
  int64_t parts, part_terms;
};

// Of the terms begin .. end of one output, those of one lane: along the innermost of their axes,
// again for every place on the outer ones.
template <typename Kind>
__device__ typename Kind::Result lane_result(const Shape& shape, const float* x, int64_t begin,
                                             int64_t end) {
  auto result = Kind::nothing();
  const int64_t length = shape.terms.count > 0 ? shape.terms.extent[0] : 1,
                stride = shape.terms.count > 0 ? shape.terms.stride[0][0] : 0;
  while (begin < end) {
    const int64_t row = begin / length, start = row * length;
    const int64_t stop = end - start < length ? end - start : length;
    const Lane lane{x + offsets_of(shape.terms, row, 1).of[0], begin - start + shape.team.lane(),
                    stop, shape.team.lanes, stride};
    result = Kind::joined(result, Kind::of(lane, start));
    begin = start + stop;
  }
  return result;
}

template <typename Kind>
__global__ void __launch_bounds__(kBlock, 4)
    reduce_kernel(Kind kind, Shape shape, const float* x, typename Kind::Result* partial) {
  wait_for_earlier_kernels();
  const int64_t per_block = kBlock / shape.team.lanes;
  const int64_t tiles = (shape.output_count + per_block - 1) / per_block;
  for (int64_t task = blockIdx.x; task < tiles * shape.parts; task += gridDim.x) {
    const int64_t part = task / tiles, tile = task - part * tiles;
    const int64_t output = tile * per_block + shape.team.output();
    const bool exists = output < shape.output_count;
    const int64_t begin = part * shape.part_terms, rest = shape.term_count - begin;
    const Offsets<2> place = offsets_of(shape.outputs, exists ? output : 0);
    auto result = Kind::nothing();
    if (exists)
      result = lane_result<Kind>(shape, x + place.of[0], begin,
                                 begin + (rest < shape.part_terms ? rest : shape.part_terms));
    result = joined_lanes<Kind>(shape.team, result);
    if (!exists || shape.team.lane() != 0) continue;
    if (shape.parts == 1) {
      kind.write(place.of[1], result);
    } else {
      partial[output * shape.parts + part] = result;
    }
  }
}

// One warp for each output, over its parts.
template <typename Kind>
__global__ void join_parts_kernel(Kind kind, Shape shape, const typename Kind::Result* partial) {
  wait_for_earlier_kernels();
  const Team team{kWarpSize, true};
  constexpr int64_t kPerBlock = kBlock / kWarpSize;
  for (int64_t first = blockIdx.x * kPerBlock; first < shape.output_count;
       first += gridDim.x * kPerBlock) {
    const int64_t output = first + team.output();
    auto result = Kind::nothing();
    if (output < shape.output_count)
      for (int64_t part = team.lane(); part < shape.parts; part += kWarpSize)
        result = Kind::joined(result, partial[output * shape.parts + part]);
    result = joined_lanes<Kind>(team, result);
    if (output < shape.output_count && team.lane() == 0)
      kind.write(offsets_of(shape.outputs, output).of[1], result);
  }
}

int power_of_two_from(int64_t count, int most) {
  int power = 1;
  while (power < count && power < most) power *= 2;
  return power;
}

// Lanes that are neighbours share a row, up to a warp, or a block where rows are long and too few
// for a warp each to fill the device. Others leave a warp's width to neighbouring outputs, and have
// a few terms each.
Team make_team(const Axes<1>& terms, int64_t term_count, const Axes<2>& outputs,
               int64_t output_count, bool along_row) {
  constexpr int64_t kEnoughRows = kEnoughBlocks * kBlock / kWarpSize;
  if (along_row) {
    const bool by_block = terms.extent[0] >= 1024 && output_count < kEnoughRows;
    return {power_of_two_from(terms.extent[0], by_block ? kBlock : kWarpSize), true};
  }
  const int width = outputs.count > 0 ? power_of_two_from(outputs.extent[0], kWarpSize) : 1;
  return {power_of_two_from(divide_up(term_count, 4), kBlock / width), false};
}

Shape make_shape(const Axes<2>& outputs, const Axes<1>& terms, int64_t output_count,
                 int64_t term_count) {
  Shape shape{outputs, terms, output_count, term_count, {}, 1, term_count};
  const bool along_row = terms.count > 0 && terms.stride[0][0] == 1;
  shape.team = make_team(terms, term_count, outputs, output_count, along_row);
  const int64_t tiles = divide_up(output_count, kBlock / shape.team.lanes);
  const int64_t most = std::max<int64_t>(term_count / (shape.team.lanes * kTermsPerLane), 1);
  shape.parts = std::clamp<int64_t>(kEnoughBlocks / tiles, 1, most);
  shape.part_terms = divide_up(term_count, shape.parts);
  return shape;
}

template <typename Kind>
void reduce(const char* name, const Kind& kind, const Shape& shape, const float* x) {
  using Result = typename Kind::Result;
  const bool one_part = shape.parts == 1;
  const Workspace partial(one_part ? 0 : shape.output_count * shape.parts * sizeof(Result));
  const int64_t tiles = divide_up(shape.output_count, kBlock / shape.team.lanes);
  launch(name, reduce_kernel<Kind>, overlapping(over_elements(tiles * shape.parts * kBlock)), kind,
         shape, x, partial.as<Result>());
  if (one_part) return;
  launch(name, join_parts_kernel<Kind>, overlapping(over_elements(shape.output_count * kWarpSize)),
         kind, shape, partial.as<Result>());
}

}  // namespace

void sum_axes(const std::vector<ReduceAxis>& axes, const float* x, double divisor, float* y) {
  Axes<2> outputs{};
  Axes<1> terms{};
  int64_t stride = 1, output_count = 1, term_count = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    const ReduceAxis& axis = axes[i];
    if (axis.reduced) {
      terms.add("sum", axis.extent, {stride});
    } else {
      outputs.add("sum", axis.extent, {stride, axis.y_stride});
    }
    (axis.reduced ? term_count : output_count) *= axis.extent;
    stride *= axis.extent;
  }
  if (output_count == 0) return;
  reduce("sum", Sum{y, divisor}, make_shape(outputs, terms, output_count, term_count), x);
}

void max_all(const float* x, int64_t count, float* y) {
  Axes<1> terms{};
  terms.add("max", count, {1});
  reduce("max", Largest{y, nullptr}, make_shape({}, terms, 1, count), x);
}

void max_axis(const AxisView& view, const float* x, float* values, int64_t* indices) {
  const int64_t output_count = view.outer * view.inner;
  if (output_count == 0) return;
  Axes<2> outputs{};
  outputs.add("max", view.inner, {1, 1});
  outputs.add("max", view.outer, {view.length * view.inner, view.inner});
  Axes<1> terms{};
  terms.add("max", view.length, {view.inner});
  reduce("max", Largest{values, indices}, make_shape(outputs, terms, output_count, view.length), x);
}

}  // namespace neurona
