// An optimizer's step over many tensors in few launches: the tensors travel in a table among the
// kernel's parameters, and each block works on chunks of one of them.
//
// A rule says what happens to one element: kArrays is the number of arrays that it changes, and
// rule(g, s) is given the gradient and s[0], the parameter, with s[1] ..., its state. A rule may
// have a prepare(), which each thread calls first. Of a captured step it is the last kernel, as a
// rule, and has a block that finishes the step. Every array is read once and written once, four
// elements at a time where all of a tensor's arrays allow it; the results are the same.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/device.h"
#include "cuda/step_finish.cuh"

namespace neurona {

constexpr int kMostStepArrays = 4;

// An element's gradient and what changes with it, all in the same order.
struct StepTensor {
  int64_t size;
  const float* g;
  float* arrays[kMostStepArrays];
};

// 64 tensors stay below the 4 KiB that all parameters of a kernel may take.
constexpr int kMostTensors = 64;

// What a block changes at a time: these elements of a tensor, the first of which in fours.
struct StepChunk {
  StepTensor tensor;
  int64_t first, last, in_fours;
};

struct StepTable {
  int count, chunk;           // elements of a chunk
  int64_t end[kMostTensors];  // in chunks, those of the tensors before included
  StepTensor tensor[kMostTensors];

  __device__ int64_t chunks() const { return end[count - 1]; }
  __device__ StepChunk operator[](int64_t number) const {
    const int of = tensor_of(number);
    const StepTensor own = tensor[of];
    uintptr_t places = reinterpret_cast<uintptr_t>(own.g);
    for (const float* array : own.arrays) places |= reinterpret_cast<uintptr_t>(array);
    const int64_t first = (number - (of > 0 ? end[of - 1] : 0)) * chunk,
                  last = first + chunk < own.size ? first + chunk : own.size;
    return {own, first, last, places % sizeof(float4) == 0 ? (last - first) / 4 * 4 : 0};
  }

 private:
  __device__ int tensor_of(int64_t chunk) const {
    int first = 0, last = count - 1;
    while (first < last) {
      const int middle = (first + last) / 2;
      if (chunk < end[middle]) {
        last = middle;
      } else {
        first = middle + 1;
      }
    }
    return first;
  }
};

// The gradient with its sign and with weight decay in it; a decay of 0 must not turn an infinite
// parameter into NaN.
__device__ inline float decayed_gradient(float g, float p, float sign, float weight_decay) {
  g = sign * g;
  return weight_decay != 0 ? g + weight_decay * p : g;
}

template <typename Rule>
__device__ inline void step_four(const Rule& rule, const StepTensor& tensor, int64_t i) {
  const float4 g = *reinterpret_cast<const float4*>(tensor.g + i);
  float s[4][Rule::kArrays];
  for (int a = 0; a < Rule::kArrays; ++a) {
    const float4 v = *reinterpret_cast<const float4*>(tensor.arrays[a] + i);
    s[0][a] = v.x, s[1][a] = v.y, s[2][a] = v.z, s[3][a] = v.w;
  }
  rule(g.x, s[0]);
  rule(g.y, s[1]);
  rule(g.z, s[2]);
  rule(g.w, s[3]);
  // By name, since nvcc makes four stores of an assignment here.
  for (int a = 0; a < Rule::kArrays; ++a)
    __stwb(reinterpret_cast<float4*>(tensor.arrays[a] + i),
           make_float4(s[0][a], s[1][a], s[2][a], s[3][a]));
}

template <typename Rule>
__device__ inline void step_one(const Rule& rule, const StepTensor& tensor, int64_t i) {
  float s[Rule::kArrays];
  for (int a = 0; a < Rule::kArrays; ++a) s[a] = tensor.arrays[a][i];
  rule(tensor.g[i], s);
  for (int a = 0; a < Rule::kArrays; ++a) tensor.arrays[a][i] = s[a];
}

template <typename Rule>
__global__ void step_kernel(Rule rule, StepTable table, const FinishTable* finish) {
  const unsigned blocks = finish ? gridDim.x - 1 : gridDim.x;
  if (blockIdx.x == blocks) {
    wait_for_earlier_kernels();
    return finish_by_block(*finish);
  }
  // The first chunk is looked up while the kernel before still runs.
  int64_t number = blockIdx.x;
  StepChunk chunk = table[number];
  wait_for_earlier_kernels();
  if constexpr (requires { rule.prepare(); }) rule.prepare();
  while (true) {
    for (int64_t i = 4 * threadIdx.x; i < chunk.in_fours; i += 4 * kBlock)
      step_four(rule, chunk.tensor, chunk.first + i);
    for (int64_t i = chunk.first + chunk.in_fours + threadIdx.x; i < chunk.last; i += kBlock)
      step_one(rule, chunk.tensor, i);
    number += blocks;
    if (number >= table.chunks()) break;
    chunk = table[number];
  }
}

// A thread has four elements of a chunk at a time, which come from far away before the next are
// asked for: so of few elements it has no more than that, and the blocks are spread over the GPU.
inline int elements_of_chunk(const std::vector<StepTensor>& tensors) {
  constexpr int kLeast = 4 * kBlock, kMost = 16 * kBlock;
  constexpr int64_t kEnoughChunks = 132 * 8;  // fill the largest GPU
  int64_t elements = 0;
  for (const StepTensor& tensor : tensors) elements += tensor.size;
  return elements <= kEnoughChunks * kLeast ? kLeast : kMost;
}

template <typename Rule>
void step_all(const char* name, const Rule& rule, const std::vector<StepTensor>& tensors) {
  static_assert(Rule::kArrays <= kMostStepArrays &&
                sizeof(Rule) + sizeof(StepTable) + sizeof(void*) <= 4096);
  StepTable table{};
  table.chunk = elements_of_chunk(tensors);
  const auto run = [&] {
    if (table.count == 0) return;
    Launch shape = overlapping(over_elements(table.end[table.count - 1] * kBlock));
    const FinishTable* finish =
        Graph::capturing() ? Graph::capturing()->finished_by_next_kernel() : nullptr;
    if (finish) ++shape.blocks.x;
    launch(name, step_kernel<Rule>, shape, rule, table, finish);
    table.count = 0;
  };
  for (const StepTensor& tensor : tensors) {
    if (tensor.size == 0) continue;
    const int64_t before = table.count > 0 ? table.end[table.count - 1] : 0;
    table.end[table.count] = before + divide_up(tensor.size, int64_t{table.chunk});
    table.tensor[table.count++] = tensor;
    if (table.count == kMostTensors) run();
  }
  run();
}

}  // namespace neurona
