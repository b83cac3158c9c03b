// What every kernel file of the CUDA backend includes: the language, from nvcc or from the
// emulation on the host, and how a kernel is launched.
//
// Kernels are written in CUDA's own words, with two macros for shared memory (below), barriers and
// warp functions by their usual names, fmaf() where a product and a sum are to be rounded once, and
// no atomics on floats. The same sources then run on a GPU and, thread by thread, on a host.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
// Before a loop over registers, which have no address to compute at run time.
#define NEURONA_UNROLL _Pragma("unroll")
// Before one whose turns together would need more of them than there are.
#define NEURONA_NO_UNROLL _Pragma("unroll 1")
#define NEURONA_SHARED(type, name, extents) __shared__ type name extents
#define NEURONA_DYNAMIC_SHARED(type, name)                       \
  extern __shared__ __align__(16) unsigned char name##_memory[]; \
  type* name = reinterpret_cast<type*>(name##_memory)
#else
#include "cuda/emulation/vocabulary.h"
#define NEURONA_UNROLL
#define NEURONA_NO_UNROLL
#endif

#include "core/divide.h"

namespace neurona {

constexpr unsigned kAllLanes = 0xffffffffu;
constexpr int kWarpSize = 32;
constexpr int kBlock = 256;  // threads, where nothing speaks for another number

// Such blocks that a multiprocessor has threads for: of sm_80, 90 and 100 2048, of the others 1536.
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ % 100 != 0 || __CUDA_ARCH__ > 1000)
constexpr int kFullBlocks = 6;
#else
constexpr int kFullBlocks = 8;
#endif

// The shape of a launch; an empty grid launches nothing.
struct Launch {
  dim3 blocks, threads{kBlock};
  size_t shared_bytes = 0;
  unsigned cluster_blocks = 1;  // neighbours along x that run at once (cluster.cuh); sm_90 has them
  bool overlaps = false;
};

// For kernels that begin with wait_for_earlier_kernels(): their blocks may come while the last ones
// of the kernel before still run, so that this one's launch costs little.
inline Launch overlapping(Launch shape) {
  shape.overlaps = true;
  return shape;
}

// Lets the next kernel's blocks come, and waits until all that was enqueued before this kernel is
// done. Before that a thread may touch no memory but its block's. Whoever launches a kernel to
// overlap must know that every thread of it calls this: since each kernel waits for the one before
// it, one that did not would let the next ones go on before the last ones have ended.
__device__ inline void wait_for_earlier_kernels() {
#if !defined(__CUDACC__)
  emulation::wait_for_earlier_kernels();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
  cudaGridDependencySynchronize();
#endif
}

// How many kernels this thread has launched, for who must know whether one is the last.
inline int64_t& launches_of_thread() {
  static thread_local int64_t count = 0;
  return count;
}

// Blocks of kBlock threads that loop over `count` elements, each thread taking every
// (blocks * kBlock)-th: enough to fill the largest GPU (132 multiprocessors) several times, 24
// blocks for each multiprocessor, so that those that run at once, 3 to 8 of them by their
// registers, have no last round of a few. The work of starting a thread is still spread over many
// elements.
inline Launch over_elements(int64_t count) {
  constexpr int64_t kMostBlocks = 132 * 24;
  const int64_t blocks = divide_up(count, kBlock);
  return {dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks))};
}

#if defined(__CUDACC__)

// On which all work is enqueued: one for the process, but a stream of its own for a thread that
// captures a step.
cudaStream_t compute_stream();

// Launches the kernel with the arguments that lie at these addresses; a thread that renews a kernel
// of a captured step (Playback::renew_first) gives that one the shape and the arguments instead.
void enqueue_kernel(const char* name, const void* kernel, const Launch& shape, void** arguments);

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const Launch& shape,
            Arguments... arguments) {
  if (shape.blocks.x == 0 || shape.blocks.y == 0 || shape.blocks.z == 0) return;
  ++launches_of_thread();
  const auto enqueue = [&](Parameters... values) {
    void* addresses[] = {&values..., nullptr};
    enqueue_kernel(name, reinterpret_cast<const void*>(kernel), shape, addresses);
  };
  enqueue(static_cast<Parameters>(arguments)...);
}

#else

template <typename... Parameters, typename... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const Launch& shape,
            Arguments... arguments) {
  if (shape.blocks.x == 0 || shape.blocks.y == 0 || shape.blocks.z == 0) return;
  ++launches_of_thread();
  emulation::submit([=] {
    (emulation::check_argument<Parameters>(name, arguments), ...);
    auto body = [&] { kernel(static_cast<Parameters>(arguments)...); };
    emulation::run(
        {name, shape.blocks, shape.threads, shape.shared_bytes, shape.cluster_blocks,
         shape.overlaps},
        [](void* call) { (*static_cast<decltype(body)*>(call))(); }, &body);
  });
}

#endif

// The index of this thread in a grid over elements, and the distance to its next element.
__device__ inline int64_t first_element() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t element_stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace neurona
