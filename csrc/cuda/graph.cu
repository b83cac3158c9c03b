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

// The checks of a step, as many as the parameters hold.
constexpr int kMostReported = 128;
struct ReportTable {
  int count;
  unsigned long long first_number;
  LateRecord* record;
  Position* first[kMostReported];
  CheckedValues values[kMostReported];
};
static_assert(sizeof(ReportTable) <= 4096);

// Makes every check ready for the next launch, and leaves the first that failed in the record
// unless one did before.
__global__ void report_kernel(ReportTable table) {
  NEURONA_SHARED(int, failed, [1]);
  if (threadIdx.x == 0) failed[0] = kMostReported;
  __syncthreads();
  const int i = threadIdx.x;
  Position at = kNoPosition;
  if (i < table.count) {
    at = *table.first[i];
    *table.first[i] = kNoPosition;
  }
  if (at != kNoPosition) atomicMin(&failed[0], i);
  __syncthreads();
  if (i != failed[0] || table.record->check != 0) return;
  table.record->position = at;
  for (size_t byte = 0; byte < table.values[i].bytes; ++byte)
    table.record->value[byte] = table.values[i].first[at * table.values[i].bytes + byte];
  __threadfence_system();  // the host, which looks at any time, sees the number last
  *static_cast<volatile unsigned long long*>(&table.record->check) = table.first_number + i;
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
  load_kernel<report_kernel>();
  Graph* const outer = std::exchange(capturing_, this);
  try {
    if (outer) throw std::runtime_error("graph: a step is being captured already");
    playback_ = std::make_unique<Playback>([&] {
      work();
      report_checks();
    });
  } catch (...) {
    capturing_ = outer;
    release();
    throw;
  }
  capturing_ = nullptr;
  for (const Check& check : checks_)
    fill_on_device(check.first, kNoPositionByte, sizeof *check.first);
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

void Graph::report_checks() {
  for (size_t begin = 0; begin < checks_.size(); begin += kMostReported) {
    ReportTable table{};
    table.first_number = begin + 1;
    table.record = record_;
    for (size_t i = begin; i < checks_.size() && table.count < kMostReported; ++i) {
      table.first[table.count] = checks_[i].first;
      table.values[table.count++] = checks_[i].values;
    }
    neurona::launch("report_checks", report_kernel, {dim3(1), dim3(kMostReported)}, table);
  }
}

void Graph::raise_late_error() {
  LateRecord found;
  {
    const std::lock_guard<std::mutex> lock(one_at_a_time_);
    found = read_shared(record_);
    if (found.check == 0) return;
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
