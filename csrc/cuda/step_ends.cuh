// The kernels before and at the end of a captured step. One brings all that a launch is given from
// outside: inputs, numbers that have changed, where the result is wanted. The other takes out what
// the step leaves: its result, and the first check that failed.
#pragma once

#include "cuda/device.h"
#include "cuda/graph.h"

namespace neurona {

// The bytes, spread over all threads of the launch.
__device__ inline void copy_bytes(const DeviceCopy& copy) {
  const auto* from = static_cast<const unsigned char*>(copy.from);
  auto* to = static_cast<unsigned char*>(copy.to);
  const auto count = static_cast<int64_t>(copy.bytes);
  const bool aligned =
      (reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to)) % sizeof(uint4) == 0;
  const int64_t vectors = aligned ? count / static_cast<int64_t>(sizeof(uint4)) : 0;
  for (int64_t i = first_element(); i < vectors; i += element_stride())
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  const int64_t rest = vectors * static_cast<int64_t>(sizeof(uint4));
  for (int64_t i = rest + first_element(); i < count; i += element_stride()) to[i] = from[i];
}

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
  for (int i = 0; i < table.copies; ++i) copy_bytes(table.copy[i]);
  if (blockIdx.x > 0) return;
  constexpr unsigned kWords = sizeof(ChangingNumbers) / sizeof(uint32_t);
  for (unsigned i = threadIdx.x; i < table.renewed * kWords; i += blockDim.x)
    table.to[i / kWords]->words[i % kWords] = table.numbers[i / kWords].words[i % kWords];
}

// The result, if any, and as many checks as the parameters hold.
constexpr int kMostReported = 128;
struct FinishTable {
  GraphResult result;
  void* const* result_copy;  // where its address is, which may be null
  LateRecord* record;
  unsigned long long first_number;
  int checks;
  Position* first[kMostReported];
  CheckedValues values[kMostReported];
};
static_assert(sizeof(FinishTable) <= 4096);

// Makes every check ready for the next launch, and leaves the first that failed in the record
// unless one did before.
__device__ inline void report_checks(const FinishTable& table) {
  NEURONA_SHARED(int, failed, [1]);
  if (threadIdx.x == 0) failed[0] = kMostReported;
  __syncthreads();
  const int i = static_cast<int>(threadIdx.x);
  Position at = kNoPosition;
  if (i < table.checks) {
    at = *table.first[i];
    *table.first[i] = kNoPosition;
  }
  if (at != kNoPosition) atomicMin(&failed[0], i);
  __syncthreads();
  if (i != failed[0] || table.record->check != 0) return;
  const CheckedValues& values = table.values[i];
  table.record->position = at;
  for (size_t byte = 0; byte < values.bytes; ++byte)
    table.record->value[byte] = values.first[at * values.bytes + byte];
  __threadfence_system();  // the host, which looks at any time, sees the number last
  *static_cast<volatile unsigned long long*>(&table.record->check) = table.first_number + i;
}

// Of kMostReported threads.
__global__ void finish_kernel(FinishTable table) {
  wait_for_earlier_kernels();
  if (table.result.bytes > 0)
    if (void* to = *table.result_copy) copy_bytes({table.result.memory, to, table.result.bytes});
  if (blockIdx.x == 0) report_checks(table);
}

}  // namespace neurona
