// What a captured step leaves, and how it is taken out: by a kernel of its own, or by a block more
// of the step's last one.
#pragma once

#include "cuda/device.h"
#include "cuda/graph.h"

namespace neurona {

// The bytes, spread over so many threads, of which this one has a number.
__device__ inline void copy_bytes(const DeviceCopy& copy, int64_t number, int64_t threads) {
  const auto* from = static_cast<const unsigned char*>(copy.from);
  auto* to = static_cast<unsigned char*>(copy.to);
  const auto count = static_cast<int64_t>(copy.bytes);
  const bool aligned =
      (reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to)) % sizeof(uint4) == 0;
  const int64_t vectors = aligned ? count / static_cast<int64_t>(sizeof(uint4)) : 0;
  for (int64_t i = number; i < vectors; i += threads)
    reinterpret_cast<uint4*>(to)[i] = reinterpret_cast<const uint4*>(from)[i];
  const int64_t rest = vectors * static_cast<int64_t>(sizeof(uint4));
  for (int64_t i = rest + number; i < count; i += threads) to[i] = from[i];
}

// The result, if any, and as many checks as a kernel's parameters hold.
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
// unless one did before. For a block of at least kMostReported threads.
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
  if (i >= table.checks || i != failed[0] || table.record->check != 0) return;
  const CheckedValues& values = table.values[i];
  table.record->position = at;
  for (size_t byte = 0; byte < values.bytes; ++byte)
    table.record->value[byte] = values.first[at * values.bytes + byte];
  __threadfence_system();  // the host, which looks at any time, sees the number last
  *static_cast<volatile unsigned long long*>(&table.record->check) = table.first_number + i;
}

__device__ inline void take_result(const FinishTable& table, int64_t number, int64_t threads) {
  if (table.result.bytes == 0) return;
  if (void* to = *table.result_copy)
    copy_bytes({table.result.memory, to, table.result.bytes}, number, threads);
}

// All of it by one block, behind its wait_for_earlier_kernels(): what it takes out, earlier kernels
// have written. Of more bytes than that a block would be the last to end.
constexpr size_t kMostTakenByBlock = 4096;
__device__ inline void finish_by_block(const FinishTable& table) {
  take_result(table, threadIdx.x, blockDim.x);
  report_checks(table);
}

}  // namespace neurona
