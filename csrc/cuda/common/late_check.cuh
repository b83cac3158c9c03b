// Checks of values that a kernel reads anyway: it notes the first position that is wrong, and the
// host is told of it at once, by waiting for the device, or in a captured step late.
#pragma once

#include <utility>

#include "cuda/device.h"
#include "cuda/graph.h"

namespace neurona {

// Whoever comes first, the smallest position stays.
__device__ inline void note_wrong(Position* first, int64_t position) {
  atomicMin(first, static_cast<Position>(position));
}

class FirstWrong {
 public:
  // The check of values of up to 8 bytes, made before the kernel that calls note_wrong(get(), ..).
  // `fail` must throw. It is kept with a graph, so it holds by value what it needs; the values must
  // then stay as they are to the end of the step.
  FirstWrong(const CheckedValues& values, FailLate fail)
      : values_(values), memory_(Graph::capturing() ? 0 : sizeof(Position)) {
    if (Graph* graph = Graph::capturing()) {
      first_ = graph->late_check(values, std::move(fail));
      return;
    }
    fail_ = std::move(fail);
    first_ = memory_.as<Position>();
    fill_on_device(first_, kNoPositionByte, sizeof *first_);
  }

  Position* get() const { return first_; }

  // Waits for the kernels and throws; nothing in a captured step.
  void check() const {
    if (Graph::capturing()) return;
    const Position at = read_back(first_);
    if (at == kNoPosition) return;
    unsigned char value[kMostCheckedBytes];
    copy_to_host(value, values_.first + at * values_.bytes, values_.bytes);
    fail_(static_cast<int64_t>(at), value);
  }

 private:
  CheckedValues values_;
  FailLate fail_;
  Workspace memory_;
  Position* first_;
};

}  // namespace neurona
