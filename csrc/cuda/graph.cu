#include "cuda/graph.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "cuda/device.h"
#include "cuda/step_ends.cuh"

namespace neurona {
namespace {

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

// The graphs that live, for those who wait for the device.
struct Living {
  std::mutex mutex;
  std::set<Graph*> graphs;
};

// Never destroyed: graphs may be freed while the process ends.
Living& living() {
  static auto* instance = new Living;
  return *instance;
}

}  // namespace

Graph::Graph(const std::function<void()>& work, const GraphResult& result)
    : record_(static_cast<LateRecord*>(shared_allocate(sizeof(LateRecord)))) {
  write_shared(record_, LateRecord{});
  load_kernel<prepare_kernel>();
  load_kernel<finish_kernel>();
  Graph* const outer = std::exchange(capturing_, this);
  try {
    if (outer) throw std::runtime_error("graph: a step is being captured already");
    playback_ = std::make_unique<Playback>([&] {
      neurona::launch("prepare_step", prepare_kernel, overlapping(over_bytes(0, kBlock)),
                      PrepareTable{});
      work();
      finish(result);
    });
  } catch (...) {
    capturing_ = outer;
    release();
    throw;
  }
  capturing_ = nullptr;
  for (const Check& check : checks_)
    fill_on_device(check.first, kNoPositionByte, sizeof *check.first);
  fill_finishers();
  const std::lock_guard<std::mutex> lock(living().mutex);
  living().graphs.insert(this);
}

Graph::~Graph() {
  {
    const std::lock_guard<std::mutex> lock(living().mutex);
    living().graphs.erase(this);
  }
  playback_.reset();
  release();
}

void Graph::release() noexcept {
  for (const auto& [memory, bytes] : blocks_) device_free(memory);
  shared_free(record_);
}

void Graph::launch(const std::vector<DeviceCopy>& copies, void* result_copy) {
  const std::lock_guard<std::mutex> lock(one_at_a_time_);
  result_copy_ = result_copy;
  prepare(copies);
  playback_->launch();
}

// One table is what the graph's first kernel takes; those that are full before go ahead of the
// graph.
void Graph::prepare(const std::vector<DeviceCopy>& copies) {
  PrepareTable table{};
  size_t most_bytes = 0;
  const auto enqueue = [&] {
    neurona::launch("prepare_step", prepare_kernel, overlapping(over_bytes(most_bytes, kBlock)),
                    table);
  };
  const auto enqueue_full = [&] {
    enqueue();
    table.copies = table.renewed = 0;
    most_bytes = 0;
  };
  for (const DeviceCopy& copy : copies) {
    if (copy.bytes == 0) continue;
    if (table.copies == kMostCopies) enqueue_full();
    table.copy[table.copies++] = copy;
    most_bytes = std::max(most_bytes, copy.bytes);
  }
  for (Changing& changing : changing_) {
    ChangingNumbers numbers{};
    changing.write(&numbers);
    if (changing.is_stored && std::memcmp(&numbers, &changing.stored, sizeof numbers) == 0)
      continue;
    changing.stored = numbers;
    changing.is_stored = true;
    if (table.renewed == kMostRenewed) enqueue_full();
    table.to[table.renewed] = static_cast<ChangingNumbers*>(changing.memory);
    table.numbers[table.renewed++] = numbers;
  }
  playback_->renew_first(enqueue);
}

bool Graph::is_finished_by_last_kernel(const GraphResult& result) const {
  return !finishers_.empty() && finishers_.back().launch == launches_of_thread() &&
         finishers_.back().checks == checks_.size() && checks_.size() <= kMostReported &&
         result.bytes <= kMostTakenByBlock;
}

void Graph::finish(const GraphResult& result) {
  FinishTable table{};
  const auto run = [&] {
    if (is_finished_by_last_kernel(result)) {
      of_last_kernel_ = std::make_unique<FinishTable>(table);
    } else {
      neurona::launch("finish_step", finish_kernel,
                      overlapping(over_bytes(table.result.bytes, kMostReported)), table);
    }
    table.result = {};
  };
  table.record = record_;
  if (result.bytes > 0) {
    table.result = result;
    table.result_copy = static_cast<void* const*>(
        changing([this](void* to) { std::memcpy(to, &result_copy_, sizeof result_copy_); }));
  }
  for (size_t begin = 0; begin < checks_.size(); begin += kMostReported) {
    const size_t end = std::min(checks_.size(), begin + kMostReported);
    table.first_number = begin + 1;
    table.checks = static_cast<int>(end - begin);
    for (size_t i = begin; i < end; ++i) {
      table.first[i - begin] = checks_[i].first;
      table.values[i - begin] = checks_[i].values;
    }
    run();
  }
  if (table.result.bytes > 0) run();
}

const FinishTable* Graph::finished_by_next_kernel() {
  finishers_.push_back({keep(sizeof(FinishTable)), launches_of_thread() + 1, checks_.size()});
  return static_cast<const FinishTable*>(finishers_.back().table);
}

void Graph::fill_finishers() {
  for (const Finisher& finisher : finishers_) {
    const bool is_last = of_last_kernel_ && &finisher == &finishers_.back();
    const FinishTable table = is_last ? *of_last_kernel_ : FinishTable{};
    copy_to_device(finisher.table, &table, sizeof table);
  }
}

void Graph::raise_late_error() {
  LateRecord found;
  {
    const std::lock_guard<std::mutex> lock(one_at_a_time_);
    found.check = read_shared(&record_->check);
    if (found.check == 0) return;
    std::atomic_thread_fence(std::memory_order_acquire);  // the kernel wrote it after the others
    found = read_shared(record_);
    write_shared(&record_->check, 0ull);  // alone: a launch may be writing the others
  }
  checks_[found.check - 1].fail(static_cast<int64_t>(found.position), found.value);
}

void Graph::raise_late_errors() {
  const std::lock_guard<std::mutex> lock(living().mutex);
  for (Graph* graph : living().graphs) graph->raise_late_error();
}

// Of exactly this size, so that on the emulation bytes behind an array still belong to nobody.
void* Graph::allocate(size_t bytes) {
  void* memory;
  if (const auto place = free_blocks_.find(bytes); place != free_blocks_.end()) {
    memory = place->second;
    free_blocks_.erase(place);
  } else {
    memory = keep(bytes);
  }
#if !defined(__CUDACC__)
  fill_on_device(memory, 0xff, bytes);  // what the last launch left there is NaN to this one
#endif
  return memory;
}

void Graph::free(void* memory) { free_blocks_.emplace(blocks_.at(memory), memory); }

void* Graph::keep(size_t bytes) {
  void* memory = device_allocate(bytes);
  blocks_[memory] = bytes;
  return memory;
}

const void* Graph::changing(std::function<void(void*)> write) {
  void* memory = keep(sizeof(ChangingNumbers));
  changing_.push_back({memory, std::move(write), {}, false});
  return memory;
}

Position* Graph::late_check(const CheckedValues& values, FailLate fail) {
  auto* first = static_cast<Position*>(keep(sizeof(Position)));
  checks_.push_back({first, values, std::move(fail)});
  return first;
}

void refuse_in_capture(const char* what) {
  if (Graph::capturing())
    throw std::runtime_error(std::string(what) + ": cannot be part of a captured step");
}

void* workspace_allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  Graph* graph = Graph::capturing();
  return graph ? graph->allocate(bytes) : device_allocate(bytes);
}

void workspace_free(void* memory) noexcept {
  if (!memory) return;
  Graph* graph = Graph::capturing();
  graph ? graph->free(memory) : device_free(memory);
}

}  // namespace neurona
