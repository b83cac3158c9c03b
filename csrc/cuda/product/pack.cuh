// Operands of a product rounded to bfloat16 or TF32 and laid out as the copy engine of sm_90 wants
// them, whatever their storage order was: matrices of lines along the depth, one for each batch.
#pragma once

#include "cuda/common/divisor.cuh"
#include "cuda/packed_memory.h"
#include "cuda/product/product.cuh"
#include "cuda/ptx/mma.cuh"
#include "cuda/platform/tensor_map.h"

namespace neurona {

constexpr int kPackSide = 64;  // lines of a block's part, and elements of each

inline MapElement map_element(Bfloat16) { return MapElement::kBfloat16; }
inline MapElement map_element(Tf32) { return MapElement::kTf32; }

// Threads read along the lines or the depth, whichever is contiguous, and write along the depth,
// by way of shared memory with lines of an odd number of words. What is beyond the depth is
// written as 0 to the end of a word, and read by no one.
template <typename Number, typename Source>
__global__ void __launch_bounds__(kBlock)
    pack_kernel(Source source, int64_t lines, int64_t depth, int64_t line_words,
                int64_t parts_of_lines, int64_t parts_of_depth, uint32_t* packed) {
  wait_for_earlier_kernels();
  using Element = typename Number::Element;
  constexpr int kWords = kPackSide / Number::kPerWord, kSide = kPackSide;
  NEURONA_SHARED(Element, part, [kSide][(kWords + 1) * Number::kPerWord]);
  const int64_t outer = blockIdx.x / parts_of_depth, batch = outer / parts_of_lines;
  const int64_t first_line = outer % parts_of_lines * kSide,
                first_k = blockIdx.x % parts_of_depth * kSide;

  NEURONA_UNROLL
  for (int i = 0; i < kSide * kSide / kBlock; ++i) {
    const int number = threadIdx.x + i * kBlock;
    const int fast = number % kSide, slow = number / kSide;
    const int line = Source::kDepthIsContiguous ? slow : fast,
              k = Source::kDepthIsContiguous ? fast : slow;
    float element = 0;
    if (first_k + k < depth) {
      const float* address =
          source.address(source.line(batch, first_line + line), source.step(batch, first_k + k));
      if (address) element = *address;
    }
    part[line][k] = Number::from_float(element);
  }
  __syncthreads();
  NEURONA_UNROLL
  for (int i = 0; i < kSide * kWords / kBlock; ++i) {
    const int number = threadIdx.x + i * kBlock;
    const int64_t line = first_line + number / kWords;
    const int word = number % kWords;
    if (line < lines && first_k + word * Number::kPerWord < depth)
      packed[(batch * lines + line) * line_words + first_k / Number::kPerWord + word] =
          *reinterpret_cast<const uint32_t*>(&part[number / kWords][word * Number::kPerWord]);
  }
}

// The same where the depth is contiguous and lines are whole vectors: a thread turns 16 bytes to be
// written from one or two vectors, without a detour.
template <typename Number>
__global__ void __launch_bounds__(kBlock)
    pack_vectors_kernel(DenseSource<true> source, Divisor by_lines, Divisor by_vectors,
                        int64_t vectors, uint4* packed) {
  wait_for_earlier_kernels();
  for (int64_t i = first_element(); i < vectors; i += element_stride()) {
    const Divided place = divide(i, by_vectors), line = divide(place.quotient, by_lines);
    const float* from = source.address(source.line(line.quotient, line.remainder),
                                       place.remainder * (4 * Number::kPerWord));
    float values[4][Number::kPerWord];
    NEURONA_UNROLL
    for (int part = 0; part < Number::kPerWord; ++part) {
      const float4 four = reinterpret_cast<const float4*>(from)[part];
      const float elements[4] = {four.x, four.y, four.z, four.w};
      NEURONA_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int element = 4 * part + j;
        values[element / Number::kPerWord][element % Number::kPerWord] = elements[j];
      }
    }
    packed[i] = make_uint4(Number::word(values[0]), Number::word(values[1]),
                           Number::word(values[2]), Number::word(values[3]));
  }
}

// Matrices of packed lines; unless is_packed(), somebody writes them. `order` tells ways apart to
// pack one source alike in size.
template <typename Number>
class PackedLines {
 public:
  PackedLines(const void* source, int64_t order, int64_t lines, int64_t depth, int64_t batches)
      : lines_(lines),
        depth_(depth),
        batches_(batches),
        line_words_(divide_up(depth, 4 * Number::kPerWord) * 4),  // 16 bytes
        memory_(
            packed_memory({source, {lines, depth, batches, 2 * order + Number::kPerWord - 1}},
                          static_cast<size_t>(batches * lines * line_words_) * sizeof(uint32_t))) {}

  bool is_packed() const { return memory_.is_packed; }
  uint32_t* words() const { return memory_.memory->template as<uint32_t>(); }
  int64_t line_words() const { return line_words_; }
  int64_t line_bytes() const { return line_words_ * static_cast<int64_t>(sizeof(uint32_t)); }

  // For tiles of so many lines.
  TensorMap map(int tile_lines) const {
    return make_tensor_map(MappedLines{words(), depth_, lines_, batches_, line_bytes(), tile_lines,
                                       map_element(Number{})});
  }

 private:
  int64_t lines_, depth_, batches_, line_words_;
  PackedMemory memory_;
};

// An operand of a product.
template <typename Number, typename Source>
PackedLines<Number> packed(const char* name, const Source& source, int64_t lines, int64_t depth,
                           int64_t batches) {
  PackedLines<Number> result(source.first(), Source::kDepthIsContiguous, lines, depth, batches);
  if (result.is_packed()) return result;
  if constexpr (Source::kDepthIsContiguous) {
    if (source.is_in_fours(depth) && depth % (4 * Number::kPerWord) == 0) {
      const int64_t of_line = depth / (4 * Number::kPerWord), vectors = batches * lines * of_line;
      launch(name, pack_vectors_kernel<Number>, overlapping(over_elements(vectors)), source,
             Divisor(lines), Divisor(of_line), vectors, reinterpret_cast<uint4*>(result.words()));
      return result;
    }
  }
  const int64_t parts_of_lines = divide_up(lines, kPackSide),
                parts_of_depth = divide_up(depth, kPackSide);
  launch(name, pack_kernel<Number, Source>,
         overlapping({dim3(static_cast<unsigned>(parts_of_lines * parts_of_depth * batches))}),
         source, lines, depth, result.line_words(), parts_of_lines, parts_of_depth, result.words());
  return result;
}

}  // namespace neurona
