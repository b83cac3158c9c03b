// The planted kernels of cp.async and ldmatrix (see planted.cu).
#pragma once

#include "cuda/ptx/cp_async.cuh"
#include "cuda/ptx/ldmatrix.cuh"
#include "planted_block.h"

namespace neurona {
namespace {

__global__ void copies_weak_wait(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, older, [kThreads]);
  NEURONA_SHARED(float, newer, [kThreads]);
  const unsigned i = threadIdx.x;
  begin_copy<4>(&older[i], x + i, true);
  commit_copies();
  begin_copy<4>(&newer[i], x + i, true);
  commit_copies();
  if (wrong)
    wait_for_copies<2>();
  else
    wait_for_copies<1>();
  y[i] = older[i];
  wait_for_copies<0>();
}

// The last turns ask for nothing; their groups must be counted all the same.
__global__ void copies_without_empty_groups(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [3][kThreads]);
  const unsigned i = threadIdx.x;
  for (int turn = 0; turn < 2; ++turn) {
    begin_copy<4>(&values[turn][i], x + i, true);
    commit_copies();
  }
  float sum = 0;
  for (int turn = 0; turn < 3; ++turn) {
    wait_for_copies<1>();
    sum += values[turn][i];
    if (turn == 0) begin_copy<4>(&values[2][i], x + i, true);
    if (turn == 0 || !wrong) commit_copies();
  }
  y[i] = sum;
  wait_for_copies<0>();
}

__global__ void copies_without_wait(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  begin_copy<4>(&values[i], x + i, true);
  commit_copies();
  if (!wrong) wait_for_copies<0>();
  y[i] = values[i];
  wait_for_copies<0>();
}

__global__ void copies_without_barrier(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  if (i < kThreads / 4) begin_copy<16>(&values[4 * i], x + 4 * i, true);
  commit_copies();
  wait_for_copies<0>();
  if (!wrong) __syncthreads();
  y[i] = values[kThreads - 1 - i];
}

// Others may still read what the copies of the next round overwrite.
__global__ void copies_over_what_is_read(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 3; ++round) {
    begin_copy<4>(&values[i], x + (i + round) % kThreads, true);
    commit_copies();
    wait_for_copies<0>();
    __syncthreads();
    sum += values[kThreads - 1 - i];
    if (!wrong) __syncthreads();
  }
  y[i] = sum;
}

__global__ void copies_of_nothing(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  if (!wrong || i % 2 == 0) begin_copy<4>(&values[i], i % 2 ? x : x + i, i % 2 == 0);
  commit_copies();
  wait_for_copies<0>();
  y[i] = values[i];
}

__global__ void copies_never_awaited(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  begin_copy<4>(&values[i], x + i, true);
  commit_copies();
  if (!wrong) wait_for_copies<0>();
  y[i] = x[i];
}

__global__ void copies_of_no_group(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  begin_copy<4>(&values[i], x + i, true);
  if (!wrong) commit_copies();
  wait_for_copies<0>();
  y[i] = x[i];
}

// A copy of 16 bytes by each thread: where to and where from is up to the kernel.
__device__ void copy_four(float* to, const float* from, bool is_read = true) {
  begin_copy<16>(to, from, is_read);
  commit_copies();
  wait_for_copies<0>();
}

__global__ void copies_to_odd_places(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [4 * kThreads + 4]);
  copy_four(&values[4 * threadIdx.x + wrong], x);
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void copies_from_odd_places(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [4 * kThreads]);
  copy_four(&values[4 * threadIdx.x], x + wrong);
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void copies_to_device(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [4 * kThreads]);
  copy_four(wrong ? y : &values[4 * threadIdx.x], x);
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void copies_from_shared(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [4 * kThreads]);
  copy_four(&values[4 * threadIdx.x], wrong ? values : x);
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void copies_beyond_input(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [4 * kThreads]);
  copy_four(&values[4 * threadIdx.x], x + kThreads - (wrong ? 0 : 4));
  y[threadIdx.x] = x[threadIdx.x];
}

__global__ void zeros_from_nowhere(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [4 * kThreads]);
  copy_four(&values[4 * threadIdx.x], wrong ? nullptr : x, false);
  y[threadIdx.x] = x[threadIdx.x];
}

// Two warps read x as 16 rows of 4 words, each of them twice: y becomes x, first the even rows and
// then the odd ones.
__device__ float word_of_matrices(const float* row, unsigned warp) {
  uint32_t words[4];
  load_matrices(words, row);
  return __uint_as_float(words[warp]);
}

__global__ void matrices_before_barrier(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x, lane = i % 32;
  values[kThreads - 1 - i] = x[kThreads - 1 - i];
  if (!wrong) __syncthreads();
  y[i] = word_of_matrices(&values[4 * (lane % 8 * 2 + lane / 8 % 2)], i / 32);
}

__global__ void matrices_of_odd_rows(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads + 4]);
  const unsigned i = threadIdx.x, lane = i % 32;
  values[i] = x[i];
  __syncthreads();
  const bool shifted = wrong && lane == 9;
  y[i] = word_of_matrices(&values[4 * (lane % 8 * 2 + lane / 8 % 2) + shifted], i / 32);
}

__global__ void matrices_of_device(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x, lane = i % 32;
  values[i] = x[i];
  __syncthreads();
  const float* rows = wrong ? x : values;
  y[i] = word_of_matrices(&rows[4 * (lane % 8 * 2 + lane / 8 % 2)], i / 32);
}

// Instructions for the device's memory alone.
__global__ void global_store_to_shared(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  __stwb(wrong ? &values[i] : &y[i], x[i]);
  __syncthreads();
  if (wrong) y[i] = values[i];
}

__global__ void global_load_of_shared(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x;
  values[i] = x[i];
  __syncthreads();
  y[i] = __ldcg(wrong ? &values[i] : &x[i]);
}

__global__ void matrices_of_some_lanes(bool wrong, const float* x, float* y) {
  NEURONA_SHARED(float, values, [kThreads]);
  const unsigned i = threadIdx.x, lane = i % 32;
  values[i] = x[i];
  __syncthreads();
  if (wrong && lane == 8) return;
  y[i] = word_of_matrices(&values[4 * (lane % 8 * 2 + lane / 8 % 2)], i / 32);
}

}  // namespace
}  // namespace neurona
