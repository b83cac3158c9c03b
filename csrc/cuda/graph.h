// A step captured once and repeated with one call: what a thread enqueues meanwhile (kernels,
// copies on the device, fills) is noted with its arguments by value, and not run.
//
// Captured work may not wait for the device, nor read the host's memory, which is another's when
// the step is repeated. So what an op would ask the device for at once, whether its labels are
// right, is noted on the device; the last kernel of the graph leaves the first wrong call in a
// record for the host, and it is raised late: when the host next waits, or when raise_late_error()
// is called. The first wrong call of a graph stays until then.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "cuda/platform/device_memory.h"
#include "cuda/platform/playback.h"

namespace neurona {

using Position = unsigned long long;  // what atomicMin takes
constexpr Position kNoPosition = ~Position{0};
constexpr unsigned char kNoPositionByte = 0xff;  // each byte of it

constexpr size_t kMostCheckedBytes = sizeof(unsigned long long);

// What a check looks at: values of so many bytes, at most kMostCheckedBytes.
struct CheckedValues {
  const unsigned char* first;
  size_t bytes;
};

template <typename Value>
CheckedValues values_of(const Value* values) {
  static_assert(sizeof(Value) <= kMostCheckedBytes);
  return {reinterpret_cast<const unsigned char*>(values), sizeof(Value)};
}

// What the last kernel leaves for the host, in memory that both reach.
struct LateRecord {
  unsigned long long check;  // which one failed, from 1 on; 0 for none
  Position position;
  unsigned char value[kMostCheckedBytes];
};

// Throws what the op would have thrown at once.
using FailLate = std::function<void(int64_t position, const void* value)>;

// A learning rate, the offset of a random draw: what a step is given besides arrays.
constexpr size_t kMostChangingBytes = 48;
struct ChangingNumbers {
  uint32_t words[kMostChangingBytes / sizeof(uint32_t)];
};

// Bytes to be copied before a step; the two do not overlap.
struct DeviceCopy {
  const void* from;
  void* to;
  size_t bytes;
};

// Where a step leaves its result, if it has one.
struct GraphResult {
  const void* memory;
  size_t bytes;
};

struct FinishTable;

class Graph {
 public:
  // Captures what `work` enqueues. Its kernels must have run before, so that they are loaded.
  explicit Graph(const std::function<void()>& work, const GraphResult& result = {});
  ~Graph();  // waits for the last launch
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Makes the copies, gives the kernels their numbers, both with one kernel, and repeats the step.
  // The graph's last kernel copies the result to `result_copy`, unless that is null.
  void launch(const std::vector<DeviceCopy>& copies = {}, void* result_copy = nullptr);

  // Throws what a check has noted, once; does not wait.
  void raise_late_error();
  // The same for all graphs.
  static void raise_late_errors();

  // The graph that this thread captures, or null. What follows is for what is captured.
  static Graph* capturing() { return capturing_; }

  // Memory for the length of an op. It belongs to the graph as long as that lives, since each
  // launch writes to it anew; another op of the same graph may get it when it is free.
  void* allocate(size_t bytes);
  void free(void* memory);
  // Memory that no other op of the graph gets.
  void* keep(size_t bytes);

  // Where kernels find numbers that may differ in each launch: before it, `write` puts those that
  // it is to see into kMostChangingBytes that are zero.
  const void* changing(std::function<void(void*)> write);

  // For the next kernel that is launched, which has a block more for finish_by_block(): where that
  // finds what it is to take out, which is nothing unless the kernel is the step's last.
  const FinishTable* finished_by_next_kernel();

  // Where kernels note the first wrong one of the values, which starts as kNoPosition. Of several
  // checks the one that was asked for first is raised.
  Position* late_check(const CheckedValues& values, FailLate fail);

 private:
  struct Changing {
    void* memory;
    std::function<void(void*)> write;
    ChangingNumbers stored;
    bool is_stored;
  };

  struct Check {
    Position* first;
    CheckedValues values;
    FailLate fail;
  };

  // A kernel that may finish the step: its number among this thread's, and the checks before it.
  struct Finisher {
    void* table;
    int64_t launch;
    size_t checks;
  };

  void prepare(const std::vector<DeviceCopy>& copies);
  void finish(const GraphResult& result);
  bool is_finished_by_last_kernel(const GraphResult& result) const;
  void fill_finishers();
  void release() noexcept;

  static inline thread_local Graph* capturing_ = nullptr;
  std::vector<Changing> changing_;
  std::vector<Check> checks_;
  std::map<void*, size_t> blocks_;            // all of them, with their sizes
  std::multimap<size_t, void*> free_blocks_;  // by size
  std::vector<Finisher> finishers_;
  std::unique_ptr<FinishTable> of_last_kernel_;  // null if a kernel of its own finishes the step
  LateRecord* record_;
  void* result_copy_ = nullptr;  // of the next launch
  std::unique_ptr<Playback> playback_;
  std::mutex one_at_a_time_;
};

// Where the kernels of a captured step find what get() returns when the step is launched; null
// outside of a capture, where they are given it among their parameters.
template <typename Get>
const std::invoke_result_t<Get>* changing_numbers(const Get& get) {
  using Numbers = std::invoke_result_t<Get>;
  static_assert(sizeof(Numbers) <= kMostChangingBytes);
  Graph* graph = Graph::capturing();
  if (!graph) return nullptr;
  return static_cast<const Numbers*>(graph->changing([get](void* to) {
    const Numbers numbers = get();
    std::memcpy(to, &numbers, sizeof numbers);
  }));
}

// std::runtime_error while this thread captures: `what` cannot be part of a graph.
void refuse_in_capture(const char* what);

}  // namespace neurona
