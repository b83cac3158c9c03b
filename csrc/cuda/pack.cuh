// Operands of a product rounded to bfloat16 or TF32 and laid out as the copy engine of sm_90 wants
// them, whatever their storage order was: matrices of lines along the depth, one for each batch.
#pragma once

#include "cuda/product.cuh"
#include "cuda/ptx/mma.cuh"
#include "cuda/tensor_map.h"

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

// A packed operand, as long as the op runs.
template <typename Number>
class PackedOperand {
 public:
  template <typename Source>
  PackedOperand(const char* name, const Source& source, int64_t lines, int64_t depth,
                int64_t batches)
      : lines_(lines),
        depth_(depth),
        batches_(batches),
        line_words_(divide_up(depth, 4 * Number::kPerWord) * 4),  // 16 bytes
        memory_(static_cast<size_t>(batches * lines * line_words_) * sizeof(uint32_t)) {
    const int64_t parts_of_lines = divide_up(lines, kPackSide),
                  parts_of_depth = divide_up(depth, kPackSide);
    launch(name, pack_kernel<Number, Source>,
           Launch{dim3(static_cast<unsigned>(parts_of_lines * parts_of_depth * batches))}, source,
           lines, depth, line_words_, parts_of_lines, parts_of_depth, memory_.as<uint32_t>());
  }

  // For tiles of so many lines.
  TensorMap map(int tile_lines) const {
    constexpr int64_t kWordBytes = sizeof(uint32_t);
    return make_tensor_map({memory_.as<const void>(), depth_, lines_, batches_,
                            line_words_ * kWordBytes, tile_lines, map_element(Number{})});
  }

 private:
  int64_t lines_, depth_, batches_, line_words_;
  const Workspace memory_;
};

}  // namespace neurona
