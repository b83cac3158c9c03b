#include "cuda/graph.h"

#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "cuda/device.h"

namespace neurona {
namespace {

// Numbers that travel among the kernel's parameters, which may take 4 KiB.
constexpr int kMostRenewed = 64;
struct RenewTable {
  int count;
  ChangingNumbers* to[kMostRenewed];
  ChangingNumbers numbers[kMostRenewed];
};
static_assert(sizeof(RenewTable) <= 4096);

__global__ void renew_kernel(RenewTable table) {
  constexpr unsigned kWords = sizeof(ChangingNumbers) / sizeof(uint32_t);
  for (unsigned i = threadIdx.x; i < table.count * kWords; i += blockDim.x)
    table.to[i / kWords]->words[i % kWords] = table.numbers[i / kWords].words[i % kWords];
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

Graph::Graph(const std::function<void()>& work)
    : record_(static_cast<LateRecord*>(shared_allocate(sizeof(LateRecord)))) {
  write_shared(record_, LateRecord{});
  Graph* const outer = std::exchange(capturing_, this);
  try {
    if (outer) throw std::runtime_error("graph: a step is being captured already");
    playback_ = std::make_unique<Playback>(work);
  } catch (...) {
    capturing_ = outer;
    release();
    throw;
  }
  capturing_ = nullptr;
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

void Graph::launch() {
  const std::lock_guard<std::mutex> lock(one_at_a_time_);
  renew_numbers();
  playback_->launch();
}

void Graph::renew_numbers() {
  RenewTable table{};
  const auto run = [&] {
    if (table.count == 0) return;
    neurona::launch("renew_numbers", renew_kernel, {dim3(1)}, table);
    table.count = 0;
  };
  for (Changing& changing : changing_) {
    ChangingNumbers numbers{};
    changing.write(&numbers);
    if (changing.is_stored && std::memcmp(&numbers, &changing.stored, sizeof numbers) == 0)
      continue;
    changing.stored = numbers;
    changing.is_stored = true;
    table.to[table.count] = static_cast<ChangingNumbers*>(changing.memory);
    table.numbers[table.count++] = numbers;
    if (table.count == kMostRenewed) run();
  }
  run();
}

void Graph::raise_late_error() {
  LateRecord found;
  {
    const std::lock_guard<std::mutex> lock(one_at_a_time_);
    found = read_shared(record_);
    if (found.check == 0) return;
    write_shared(&record_->check, 0ull);  // alone: a launch may be writing the others
  }
  checks_[found.check - 1](static_cast<int64_t>(found.position), found.value);
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

LateCheck Graph::late_check(FailLate fail) {
  checks_.push_back(std::move(fail));
  return {record_, checks_.size()};
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
