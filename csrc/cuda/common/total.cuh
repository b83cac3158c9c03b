// The sum of many terms in double: blocks each add every so many of them, and the last one adds
// what those found.
#pragma once

#include "cuda/common/block_sum.cuh"
#include "cuda/device.h"
#include "cuda/platform/device_memory.h"
#include "cuda/common/last_block.cuh"

namespace neurona {

// The sum of what the blocks of a launch found, in the last of them; false in the others. Every
// block puts its sum, which all its threads know, into parts[blockIdx.x].
__device__ inline bool add_blocks(double* sum, double* parts, unsigned* counter) {
  if (gridDim.x == 1) return true;
  if (threadIdx.x == 0) parts[blockIdx.x] = *sum;
  if (!is_last_block(counter, gridDim.x)) return false;
  double total = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kBlock) total += parts[i];
  *sum = block_sum<kBlock>(total);
  return true;
}

template <typename Term, typename Finish>
__global__ void total_kernel(Term term, int64_t count, double* parts, unsigned* counter,
                             Finish finish) {
  wait_for_earlier_kernels();
  double sum = 0;
  for (int64_t i = first_element(); i < count; i += element_stride()) sum += term(i);
  sum = block_sum<kBlock>(sum);
  if (add_blocks(&sum, parts, counter) && threadIdx.x == 0) finish(sum);
}

template <typename T>
struct ElementOf {
  const T* elements;
  __device__ double operator()(int64_t i) const { return elements[i]; }
};

// Eight terms for each thread before more blocks are worth it.
constexpr int64_t kTermsOfBlock = 8 * kBlock;

// Calls finish(sum of term(i) over i < count) once, on the device.
template <typename Term, typename Finish>
void total(const char* name, int64_t count, const Term& term, const Finish& finish) {
  constexpr int64_t kMostBlocks = 132 * 8;  // which fill the largest GPU: loads are far away
  const int64_t wanted = divide_up(count, kTermsOfBlock);
  const int64_t blocks = wanted < 1 ? 1 : wanted < kMostBlocks ? wanted : kMostBlocks;
  const Workspace parts(blocks == 1 ? 0 : blocks * sizeof(double));
  launch(name, total_kernel<Term, Finish>, overlapping({dim3(static_cast<unsigned>(blocks))}), term,
         count, parts.as<double>(), block_counters(), finish);
}

}  // namespace neurona
