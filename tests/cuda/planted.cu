// Kernels that are wrong on purpose, each with its right twin: `wrong` chooses. The emulation must
// find what is wrong with the one and nothing with the other; test_cuda_emulation.py says what each
// should compute.
//
// All but the last few run one block of kThreads threads that reads x[i] = i and writes y[i].
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "bindings/device.h"
#include "cuda/device.h"
#include "cuda/platform/device_memory.h"
#include "cuda/emulation/poison.h"
#include "cuda/graph.h"
#include "cuda/platform/pinned_buffer.h"
#include "cuda/staging_ring.h"
#include "planted_copies.cuh"
#include "planted_hopper.h"

namespace neurona {
namespace {

constexpr unsigned kLowerHalf = 0x0000ffffu, kUpperHalf = 0xffff0000u;

// -- Barriers ---------------------------------------------------------------------------------

__global__ void read_before_barrier(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  values[i] = x[i];
  if (!wrong) __syncthreads();
  y[i] = values[kThreads - 1 - i];
}

__global__ void write_before_barrier(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    values[i] = x[i] + round;
    __syncthreads();
    sum += values[kThreads - 1 - i];
    if (!wrong) __syncthreads();
  }
  y[i] = sum;
}

// The other warp may still have to read what this one overwrites, though both have exchanged values
// as often.
__global__ void write_ahead_of_readers(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  values[i] = x[i];
  __syncthreads();
  const float value = __shfl_xor_sync(kAllLanes, values[kThreads - 1 - i], 1);
  y[i] = __shfl_xor_sync(kAllLanes, value, 1);
  if (!wrong) __syncthreads();
  values[i] = 0;
}

__global__ void divergent_barrier(bool wrong, const float* x, float* y) {
  const unsigned i = threadIdx.x;
  if (wrong && i < 32)
    __syncthreads();
  else
    __syncthreads();
  y[i] = x[i];
}

__global__ void barrier_against_shuffle(bool wrong, const float* x, float* y) {
  const unsigned i = threadIdx.x;
  if (wrong && i == 40) __syncthreads();
  y[i] = __shfl_xor_sync(kAllLanes, x[i], 1);
  __syncthreads();
}

__global__ void warp_without_barrier(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  values[i] = x[i];
  if (!wrong) __syncwarp();
  y[i] = values[i ^ 31];
}

// -- Warps ------------------------------------------------------------------------------------

__global__ void returned_lane(bool wrong, const float* x, float* y) {
  const unsigned i = threadIdx.x;
  if (wrong && i == 5) return;
  y[i] = __shfl_xor_sync(kAllLanes, x[i], 1);
}

__global__ void not_in_own_mask(bool wrong, const float* x, float* y) {
  y[threadIdx.x] = __shfl_sync(wrong ? kAllLanes - 1 : kAllLanes, x[threadIdx.x], 1);
  __syncthreads();
}

__global__ void reads_outside_mask(bool wrong, const float* x, float* y) {
  const unsigned mask = threadIdx.x % 32 < 16 ? kLowerHalf : kUpperHalf;
  y[threadIdx.x] = __shfl_xor_sync(mask, x[threadIdx.x], wrong ? 16 : 1);
}

__global__ void different_masks(bool wrong, const float* x, float* y) {
  const bool lower = threadIdx.x % 32 < 16;
  y[threadIdx.x] = __shfl_xor_sync(lower   ? kLowerHalf
                                   : wrong ? kAllLanes
                                           : kUpperHalf,
                                   x[threadIdx.x], 1);
  __syncthreads();
}

// Halves of a warp that have exchanged a different number of values, and then meet.
__global__ void different_places(bool wrong, const float* x, float* y) {
  float value = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) {
    for (int bits = 1; bits < 8; bits *= 2) value = __shfl_xor_sync(kLowerHalf, value, bits);
    if (wrong) value = __shfl_xor_sync(kAllLanes, value, 16);
  }
  y[threadIdx.x] = __shfl_xor_sync(kAllLanes, value, 16);
}

// In the second block dimension, so that the third warp holds 8 lanes.
__global__ void incomplete_warp(bool wrong, const float* x, float* y) {
  const unsigned i = threadIdx.x + blockDim.x * threadIdx.y;
  const unsigned mask = i < 64 || wrong ? kAllLanes : 0xffu;
  const float value = __shfl_xor_sync(mask, x[i % kThreads], 1);
  if (i < kThreads) y[i] = value;
}

// -- Memory -----------------------------------------------------------------------------------

__global__ void shared_unset(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  if (!wrong || i % 2 == 0) values[i] = x[i];
  __syncthreads();
  y[i] = values[i ^ 1];
}

__global__ void beyond_shared(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  values[threadIdx.x + wrong] = 2;
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void before_shared(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  NEURONA_SHARED(float, others, [kThreads]);
  const unsigned i = threadIdx.x;
  values[i] = 1;
  others[i] = x[i];
  y[i] = wrong ? *(others + i - kThreads / 4) : others[i];
}

__global__ void beyond_dynamic(bool wrong, const float* x, float* y) {
  NEURONA_DYNAMIC_SHARED(float, values);
  values[threadIdx.x + wrong] = 2;
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void too_much_shared(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [12 * 1024]);
  values[threadIdx.x] = x[threadIdx.x];
  if (wrong) {
    NEURONA_SHARED(char, more, [1]);
    more[0] = 1;
  }
  y[threadIdx.x] = values[threadIdx.x];
}

__global__ void beyond_device(bool wrong, const float* x, float* y) {
  y[threadIdx.x + wrong] = x[threadIdx.x];
}

__global__ void beyond_input(bool wrong, const float* x, float* y) {
  y[threadIdx.x] = x[threadIdx.x + wrong];
}

__global__ void device_unset(bool wrong, const float* x, float* y) {
  if (!wrong || threadIdx.x != 7) y[threadIdx.x] = x[threadIdx.x];
}

// Each block of one thread takes what the block before it left.
__global__ void order_of_blocks(bool wrong, const float* x, float* y) {
  const unsigned i = blockIdx.x;
  y[i] = wrong && i > 0 ? y[i - 1] + x[i] : x[i];
}

__global__ void copy(bool, const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }

__global__ void launches(bool wrong, const float* x, float* y) {
  if (wrong) launch("inner", copy, {1, kThreads}, false, x, y);
  y[threadIdx.x] = x[threadIdx.x];
}

// -- Launches that overlap ---------------------------------------------------------------------

__global__ void ends_without_waiting(bool wrong, const float* x, float* y) {
  if (wrong && threadIdx.x == 5) return;
  wait_for_earlier_kernels();
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void reads_before_waiting(bool wrong, const float* x, float* y) {
  float value = 0;
  if (wrong && threadIdx.x == 5) value = x[threadIdx.x];
  wait_for_earlier_kernels();
  y[threadIdx.x] = value + (wrong ? 0 : x[threadIdx.x]);
}

// -- What Python calls ------------------------------------------------------------------------

using Kernel = void (*)(bool, const float*, float*);
struct Case {
  Kernel kernel;
  Launch right{1, kThreads, kThreads * sizeof(float)};
  Launch wrong = right;
};

#define NEURONA_CASE(kernel) \
  {                          \
    #kernel, { kernel }      \
  }
const std::map<std::string, Case> cases{
    NEURONA_CASE(read_before_barrier),
    NEURONA_CASE(write_before_barrier),
    NEURONA_CASE(write_ahead_of_readers),
    NEURONA_CASE(divergent_barrier),
    NEURONA_CASE(barrier_against_shuffle),
    NEURONA_CASE(warp_without_barrier),
    NEURONA_CASE(returned_lane),
    NEURONA_CASE(not_in_own_mask),
    NEURONA_CASE(reads_outside_mask),
    NEURONA_CASE(different_masks),
    NEURONA_CASE(different_places),
    NEURONA_CASE(shared_unset),
    NEURONA_CASE(beyond_shared),
    NEURONA_CASE(before_shared),
    NEURONA_CASE(beyond_dynamic),
    NEURONA_CASE(too_much_shared),
    NEURONA_CASE(beyond_device),
    NEURONA_CASE(beyond_input),
    NEURONA_CASE(device_unset),
    NEURONA_CASE(launches),
    NEURONA_CASE(copies_weak_wait),
    NEURONA_CASE(copies_without_empty_groups),
    NEURONA_CASE(copies_without_wait),
    NEURONA_CASE(copies_without_barrier),
    NEURONA_CASE(copies_over_what_is_read),
    NEURONA_CASE(copies_of_nothing),
    NEURONA_CASE(copies_never_awaited),
    NEURONA_CASE(copies_of_no_group),
    NEURONA_CASE(copies_to_odd_places),
    NEURONA_CASE(copies_from_odd_places),
    NEURONA_CASE(copies_to_device),
    NEURONA_CASE(copies_from_shared),
    NEURONA_CASE(copies_beyond_input),
    NEURONA_CASE(zeros_from_nowhere),
    NEURONA_CASE(matrices_before_barrier),
    NEURONA_CASE(matrices_of_odd_rows),
    NEURONA_CASE(matrices_of_device),
    NEURONA_CASE(global_store_to_shared),
    NEURONA_CASE(global_load_of_shared),
    NEURONA_CASE(matrices_of_some_lanes),
    {"ends_without_waiting", {ends_without_waiting, overlapping({2, kThreads})}},
    {"reads_before_waiting", {reads_before_waiting, overlapping({2, kThreads})}},
    {"incomplete_warp", {incomplete_warp, {1, {8, 9}}}},
    {"order_of_blocks", {order_of_blocks, {kThreads, 1}}},
    {"too_many_threads", {copy, {1, kThreads}, {1, 1025}}},
    {"too_deep_a_block", {copy, {1, kThreads}, {1, {1, 1, 65}}}},
    {"too_high_a_grid", {copy, {1, kThreads}, {{1, 1, 65536}, kThreads}}},
    {"too_much_dynamic", {copy, {1, kThreads, 99 * 1024}, {1, kThreads, 99 * 1024 + 1}}},
};

std::vector<float> run(const std::string& name, bool wrong) {
  const Case& chosen = cases.at(name);
  std::vector<float> x(kThreads), y(kThreads);
  std::iota(x.begin(), x.end(), 0.0f);
  constexpr size_t kBytes = kThreads * sizeof(float);
  const Workspace input(kBytes), output(kBytes);
  copy_to_device(input.as<float>(), x.data(), kBytes);
  launch(name.c_str(), chosen.kernel, wrong ? chosen.wrong : chosen.right, wrong,
         input.as<const float>(), output.as<float>());
  copy_to_host(y.data(), output.as<float>(), kBytes);
  return y;
}

// What a structure that is handed to a kernel may hold.
struct Holder {
  int64_t number;
  const float* pointer;
};
__global__ void follow(Holder holder, float* y) { y[0] = holder.pointer[0]; }

// A kernel is given a pointer "of_device", "to_host", "freed" or "absent".
void give_pointer(const std::string& kind) {
  static const float host = 1;
  const Workspace output(sizeof(float)), input(sizeof(float));
  auto* freed = static_cast<float*>(device_allocate(sizeof(float)));
  device_free(freed);
  fill_on_device(input.as<float>(), 0, sizeof(float));
  const float* pointer = kind == "to_host" ? &host : kind == "freed" ? freed : input.as<float>();
  launch("follow", follow, {1, 1}, Holder{-1, pointer}, output.as<float>());
}

// Copies of more than an array holds, or whose ends lie in each other's memory.
void copy_wrongly(const std::string& kind) {
  const Workspace array(64);
  char host[65] = {};
  if (kind == "too_long") copy_to_device(array.as<char>(), host, 65);
  if (kind == "to_host") copy_to_device(host, array.as<char>(), 64);
  if (kind == "from_host") copy_to_host(array.as<char>(), host, 64);
  if (kind == "between") fill_on_device(array.as<char>() + 1, 0, 64);
}

// -- Staging ----------------------------------------------------------------------------------

// A buffer that is taken again before its copy is done.
class HastyBuffer : public PinnedBuffer {
 public:
  void wait() {}
};

constexpr int kCopies = 3 * static_cast<int>(StagingRing<PinnedBuffer>::kBuffers);

// Copies 0, 1, 2, .. one by one to the device and back, by a ring of its own. Growing ones send
// more and more at a time.
template <typename Buffer>
std::vector<float> stage(const std::string& kind) {
  StagingRing<Buffer> ring;
  std::vector<float> x(kCopies * kCopies), y(x.size(), -1);
  std::iota(x.begin(), x.end(), 0.0f);
  const size_t bytes = x.size() * sizeof(float);
  const Workspace array(bytes);
  auto* device = array.as<float>();
  if (kind == "fetch") copy_to_device(device, x.data(), bytes);
  for (int i = 0; i < kCopies; ++i) {
    const size_t count = kind == "grow" ? i + 1 : kCopies;
    if (kind == "fetch")
      ring.fetch(&y[i * kCopies], device + i * kCopies, count * sizeof(float));
    else
      ring.send(device + i * kCopies, &x[i * kCopies], count * sizeof(float));
  }
  synchronize();
  if (kind != "fetch") copy_to_host(y.data(), device, bytes);
  return y;
}

// -- Graphs -----------------------------------------------------------------------------------

// What no graph can hold. The device works when a step is repeated, and the host's memory is then
// another's.
void capture_wrongly(const std::string& kind) {
  const Workspace array(64);
  char host[64] = {};
  const Graph graph([&] {
    if (kind == "wait") synchronize();
    if (kind == "to_host") copy_to_host(host, array.as<char>(), 64);
    if (kind == "from_host") copy_to_device(array.as<char>(), host, 64);
    if (kind == "again") Graph inner([] {});
  });
}

__global__ void add_one(float* x) { *x += 1; }
__global__ void read_unset(const float* x, float* y) { *y += *x; }

// x after two launches of a graph that adds 1. With `wrong` it adds what its workspace holds, which
// nobody has set; the first launch's value must not be there for the second.
float launch_twice(bool wrong) {
  const Workspace memory(sizeof(float));
  auto* x = memory.as<float>();
  fill_on_device(x, 0, sizeof *x);
  Graph graph([&] {
    const Workspace own(sizeof(float));
    if (!wrong) fill_on_device(own.as<float>(), 0, sizeof(float));
    launch("read_unset", read_unset, {dim3(1), dim3(1)}, own.as<const float>(), x);
    fill_on_device(own.as<float>(), 0, sizeof(float));
    launch("add_one", add_one, {dim3(1), dim3(1)}, x);
  });
  graph.launch();
  graph.launch();
  return read_back(x);
}

// A graph that uses memory which is freed before it is launched.
void launch_with_freed_memory() {
  void* x = device_allocate(sizeof(float));
  Graph graph([&] { launch("add_one", add_one, {dim3(1), dim3(1)}, static_cast<float*>(x)); });
  device_free(x);
  graph.launch();
}

// These end the process.
float read_on_host() {
  const Workspace array(sizeof(float));
  return *static_cast<volatile float*>(array.as<float>());
}
void free_twice() {
  void* array = device_allocate(64);
  device_free(array);
  device_free(array);
}
unsigned ask_position_on_host() { return threadIdx.x; }

}  // namespace
}  // namespace neurona

PYBIND11_MODULE(neurona_cuda_planted, m) {
  using namespace neurona;
  namespace py = pybind11;
  using Alone = py::call_guard<py::gil_scoped_release>;
  register_emulation(m);
  m.attr("sanitized") = emulation::kReportsAtOnce;
  m.def("run", &run, Alone());
  m.def("hopper_faults", &hopper_faults);
  m.def("run_hopper", &run_hopper, Alone());
  m.def("patch_faults", &patch_faults);
  m.def("run_patches", &run_patches, Alone());
  m.def("cluster_faults", &cluster_faults);
  m.def("run_clusters", &run_clusters, Alone());
  m.def("give_pointer", &give_pointer, Alone());
  m.def("copy_wrongly", &copy_wrongly, Alone());
  m.attr("kCopies") = kCopies;
  m.def("stage", &stage<PinnedBuffer>, Alone());
  m.def("stage_hastily", &stage<HastyBuffer>, Alone());
  m.def("capture_wrongly", &capture_wrongly, Alone());
  m.def("launch_twice", &launch_twice, Alone());
  m.def("launch_with_freed_memory", &launch_with_freed_memory, Alone());
  m.def("read_on_host", &read_on_host);
  m.def("free_twice", &free_twice);
  m.def("ask_position_on_host", &ask_position_on_host);
}
