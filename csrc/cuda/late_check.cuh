// Checks whose kernels note the first position that is wrong: at once, by waiting for the device,
// or in a captured step late.
#pragma once

#include <cstring>

#include "cuda/device.h"
#include "cuda/graph.h"

namespace neurona {

// Runs behind the kernel that looked for the position. A check that failed before stays.
template <typename Value>
__global__ void note_late_kernel(const Position* first, const Value* values, LateCheck check) {
  const Position at = *first;
  if (at == kNoPosition || check.record->check != 0) return;
  const Value value = values[at];
  unsigned long long bits = 0;
  memcpy(&bits, &value, sizeof value);
  check.record->position = at;
  check.record->value = bits;
  __threadfence_system();  // the host, which looks at any time, sees the number last
  *static_cast<volatile unsigned long long*>(&check.record->check) = check.number;
}

// A kernel is loaded when it is first asked for. That may have to wait for the device, which is
// forbidden during a capture; so one that runs in captured steps alone is asked for before.
template <auto kKernel>
void load_kernel() {
#if defined(__CUDACC__)
  static const cudaError_t status = [] {
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, kKernel);
  }();
  if (status != cudaSuccess) throw std::runtime_error(cudaGetErrorString(status));
#endif
}

// fail(position, value) where *first, which starts as kNoPosition, is the position of a wrong one
// of the values. It must throw, and is kept with a graph: it holds by value what it needs.
template <typename Value, typename Fail>
void check_first(const Position* first, const Value* values, const Fail& fail) {
  static_assert(sizeof(Value) <= sizeof(unsigned long long));
  if (Graph* graph = Graph::capturing()) {
    const LateCheck check = graph->late_check([fail](int64_t at, unsigned long long bits) {
      Value value;
      std::memcpy(&value, &bits, sizeof value);
      fail(at, value);
    });
    launch("note_late", note_late_kernel<Value>, {dim3(1), dim3(1)}, first, values, check);
    return;
  }
  load_kernel<note_late_kernel<Value>>();
  const Position at = read_back(first);
  if (at != kNoPosition) fail(static_cast<int64_t>(at), read_back(values + at));
}

}  // namespace neurona
