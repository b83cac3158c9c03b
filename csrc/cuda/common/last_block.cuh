// One launch where there would be two: each block leaves a part of the result in memory, and the
// block that comes last puts all parts together. Which block that is differs from run to run; what
// it computes does not, as long as it takes the parts by their numbers.
//
// The blocks of a group count themselves on a counter that is 0 when the launch begins and 0 again
// when it has ended. So one array of counters serves every launch: all kernels of a process run one
// after the other, on one stream, which graphs are launched on too.
#pragma once

#include "cuda/device.h"
#include "cuda/ptx/atomic.cuh"

namespace neurona {

// As many groups of several blocks as a launch may have; twice that many blocks fill any GPU.
constexpr int64_t kBlockCounters = 4096;

// kBlockCounters of them, on the device.
unsigned* block_counters();

// Whether this block is the last one of a group of `blocks`, in all of its threads. If so, they see
// what all threads of the others wrote before. Waits for the whole block. `word` is shared memory
// that nobody reads or writes any more once the block has come here.
__device__ inline bool is_last_block(unsigned* counter, unsigned blocks, unsigned* word) {
  __syncthreads();
  if (blocks == 1) return true;
  if (threadIdx.x == 0) *word = increment_in_order(counter, blocks - 1) == blocks - 1 ? 1 : 0;
  __syncthreads();
  return *word != 0;
}
__device__ inline bool is_last_block(unsigned* counter, unsigned blocks) {
  NEURONA_SHARED(unsigned, word, [1]);
  return is_last_block(counter, blocks, word);
}

}  // namespace neurona
