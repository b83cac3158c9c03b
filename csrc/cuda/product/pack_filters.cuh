// Filters (K, C, R, S) rounded and laid out for the copy engine: for each tap a matrix, of K lines
// of channels for a convolution, of C lines of filters for its gradient. Memory is read along (C,
// R, S), which it is contiguous in, and written along the lines, by way of shared memory.
#pragma once

#include "cuda/common/divisor.cuh"
#include "cuda/product/pack.cuh"

namespace neurona {

constexpr int kMostPackedTaps = 128;  // 64 channels of them are 32 KiB

// Beside 0 and 1, which dense matrices have.
constexpr int64_t kFilters = 2, kTurnedFilters = 3;

// A block: kPackSide channels of one filter.
template <typename Number>
__global__ void __launch_bounds__(kBlock)
    pack_filters_kernel(const float* weight, int64_t filters, int64_t channels, int taps,
                        int64_t parts, int64_t line_words, uint32_t* packed) {
  wait_for_earlier_kernels();
  constexpr int kWords = kPackSide / Number::kPerWord;
  NEURONA_DYNAMIC_SHARED(float, run);
  const int64_t filter = blockIdx.x / parts, first = blockIdx.x % parts * kPackSide;
  const int there = static_cast<int>(min(int64_t{kPackSide}, channels - first)) * taps;
  const float* from = weight + (filter * channels + first) * taps;
  for (int i = threadIdx.x; i < kPackSide * taps; i += kBlock) run[i] = i < there ? from[i] : 0.0f;
  __syncthreads();
  for (int i = threadIdx.x; i < kWords * taps; i += kBlock) {
    const int tap = i / kWords, word = i % kWords;
    if (first + word * Number::kPerWord >= channels) continue;
    float values[Number::kPerWord];
    NEURONA_UNROLL
    for (int j = 0; j < Number::kPerWord; ++j)
      values[j] = run[(word * Number::kPerWord + j) * taps + tap];
    packed[(tap * filters + filter) * line_words + first / Number::kPerWord + word] =
        Number::word(values);
  }
}

// A block: kPackSide filters, and as many neighbours (channel, tap) of each.
template <typename Number>
__global__ void __launch_bounds__(kBlock)
    pack_turned_filters_kernel(const float* weight, int64_t filters, int64_t channels, int taps,
                               int64_t parts, int64_t line_words, uint32_t* packed) {
  wait_for_earlier_kernels();
  constexpr int kWords = kPackSide / Number::kPerWord, kSide = kPackSide;
  NEURONA_SHARED(float, part, [kSide][kSide + 1]);
  const int64_t neighbours = channels * taps;
  const int64_t first_filter = blockIdx.x / parts * kSide, first = blockIdx.x % parts * kSide;
  NEURONA_UNROLL
  for (int i = 0; i < kSide * kSide / kBlock; ++i) {
    const int number = threadIdx.x + i * kBlock, line = number / kSide, neighbour = number % kSide;
    const bool inside = first_filter + line < filters && first + neighbour < neighbours;
    part[line][neighbour] =
        inside ? weight[(first_filter + line) * neighbours + first + neighbour] : 0.0f;
  }
  __syncthreads();
  NEURONA_UNROLL
  for (int i = 0; i < kSide * kWords / kBlock; ++i) {
    const int number = threadIdx.x + i * kBlock, neighbour = number / kWords,
              word = number % kWords;
    if (first + neighbour >= neighbours || first_filter + word * Number::kPerWord >= filters)
      continue;
    float values[Number::kPerWord];
    NEURONA_UNROLL
    for (int j = 0; j < Number::kPerWord; ++j)
      values[j] = part[word * Number::kPerWord + j][neighbour];
    const int64_t channel = (first + neighbour) / taps, tap = (first + neighbour) % taps;
    packed[(tap * channels + channel) * line_words + first_filter / Number::kPerWord + word] =
        Number::word(values);
  }
}

template <typename Number>
PackedLines<Number> packed_filters(const char* name, const float* weight, int64_t filters,
                                   int64_t channels, int64_t taps) {
  PackedLines<Number> result(weight, kFilters, filters, channels, taps);
  if (result.is_packed()) return result;
  const int64_t parts = divide_up(channels, kPackSide);
  launch(name, pack_filters_kernel<Number>,
         overlapping({dim3(static_cast<unsigned>(filters * parts)), dim3(kBlock),
                      static_cast<size_t>(kPackSide * taps) * sizeof(float)}),
         weight, filters, channels, static_cast<int>(taps), parts, result.line_words(),
         result.words());
  return result;
}

template <typename Number>
PackedLines<Number> packed_turned_filters(const char* name, const float* weight, int64_t filters,
                                          int64_t channels, int64_t taps) {
  PackedLines<Number> result(weight, kTurnedFilters, channels, filters, taps);
  if (result.is_packed()) return result;
  const int64_t parts = divide_up(channels * taps, kPackSide);
  launch(name, pack_turned_filters_kernel<Number>,
         overlapping({dim3(static_cast<unsigned>(divide_up(filters, kPackSide) * parts))}), weight,
         filters, channels, static_cast<int>(taps), parts, result.line_words(), result.words());
  return result;
}

}  // namespace neurona
