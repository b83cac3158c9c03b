// The kernels at the beginning and at the end of a captured step. One brings all that a launch is
// given from outside: inputs, numbers that have changed, where the result is wanted. The other
// takes out what the step leaves: its result, and the first check that failed. The step's own last
// kernel may do that instead (step_finish.cuh).
#pragma once

#include "cuda/device.h"
#include "cuda/graph.h"
#include "cuda/step_finish.cuh"

namespace neurona {

// Blocks of at most kBlock threads for so many bytes.
inline Launch over_bytes(size_t bytes, unsigned threads) {
  Launch shape = over_elements(static_cast<int64_t>(bytes / sizeof(uint4)));
  if (shape.blocks.x == 0) shape.blocks.x = 1;
  shape.threads = dim3(threads);
  return shape;
}

// All of it travels among the kernel's parameters, which may take 4 KiB; few are quicker to send.
constexpr int kMostCopies = 8, kMostRenewed = 16;
struct PrepareTable {
  int copies, renewed;
  DeviceCopy copy[kMostCopies];
  ChangingNumbers* to[kMostRenewed];
  ChangingNumbers numbers[kMostRenewed];
};
static_assert(sizeof(PrepareTable) <= 4096);

__global__ void prepare_kernel(PrepareTable table) {
  wait_for_earlier_kernels();
  for (int i = 0; i < table.copies; ++i)
    copy_bytes(table.copy[i], first_element(), element_stride());
  if (blockIdx.x > 0) return;
  constexpr unsigned kWords = sizeof(ChangingNumbers) / sizeof(uint32_t);
  for (unsigned i = threadIdx.x; i < table.renewed * kWords; i += blockDim.x)
    table.to[i / kWords]->words[i % kWords] = table.numbers[i / kWords].words[i % kWords];
}

// Of kMostReported threads.
__global__ void finish_kernel(FinishTable table) {
  wait_for_earlier_kernels();
  take_result(table, first_element(), element_stride());
  if (blockIdx.x == 0) report_checks(table);
}

}  // namespace neurona
