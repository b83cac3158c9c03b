// The sum of many terms in double, in two stages: blocks that each add every so many of them, and
// one block that adds what those found.
#pragma once

#include "cuda/block_sum.cuh"
#include "cuda/device.h"
#include "cuda/device_memory.h"

namespace neurona {

template <typename Term, typename Finish>
__global__ void total_kernel(Term term, int64_t count, Finish finish) {
  double sum = 0;
  for (int64_t i = first_element(); i < count; i += element_stride()) sum += term(i);
  sum = block_sum<kBlock>(sum);
  if (threadIdx.x == 0) finish(sum);
}

template <typename T>
struct ElementOf {
  const T* elements;
  __device__ double operator()(int64_t i) const { return elements[i]; }
};

struct PartOfTotal {
  double* parts;
  __device__ void operator()(double sum) const { parts[blockIdx.x] = sum; }
};

// Calls finish(sum of term(i) over i < count) once, on the device.
template <typename Term, typename Finish>
void total(const char* name, int64_t count, const Term& term, const Finish& finish) {
  // Eight terms for each thread before more blocks are worth a second launch, and no more blocks
  // than one can add with two terms for each thread.
  constexpr int64_t kTermsOfBlock = 8 * kBlock, kMostBlocks = 2 * kBlock;
  if (count <= kTermsOfBlock)
    return launch(name, total_kernel<Term, Finish>, {dim3(1)}, term, count, finish);
  const int64_t wanted = divide_up(count, kTermsOfBlock);
  const int64_t blocks = wanted < kMostBlocks ? wanted : kMostBlocks;
  const Workspace parts(blocks * sizeof(double));
  launch(name, total_kernel<Term, PartOfTotal>, {dim3(static_cast<unsigned>(blocks))}, term, count,
         PartOfTotal{parts.as<double>()});
  launch(name, total_kernel<ElementOf<double>, Finish>, {dim3(1)},
         ElementOf<double>{parts.as<double>()}, blocks, finish);
}

}  // namespace neurona
