// Where an element stands in an array (images, rows, columns, groups) of channels-last images, from
// its number in memory.
#pragma once

#include "cuda/common/divisor.cuh"

namespace neurona {

// Calls body with an integer for positions, of which `largest` is the greatest number, and for sums
// of a few of them: 32 bits where they suffice, which takes half the registers and instructions.
template <typename Body>
void with_index(int64_t largest, const Body& body) {
  if (largest < int64_t{1} << 28)
    body(int32_t{});
  else
    body(int64_t{});
}

template <typename Index>
struct PlaceBy {
  Index image, row, column, group;
};
using Place = PlaceBy<int64_t>;

class Places {
 public:
  Places(int64_t rows, int64_t columns, int64_t groups)
      : rows_(rows), columns_(columns), groups_(groups) {}

  template <typename Index>
  __device__ PlaceBy<Index> operator[](Index element) const {
    const DividedBy<Index> pixel = divide(element, groups_),
                           line = divide(pixel.quotient, columns_),
                           image = divide(line.quotient, rows_);
    return {image.quotient, image.remainder, line.remainder, pixel.remainder};
  }
  __device__ int64_t groups() const { return groups_.divisor; }

 private:
  Divisor rows_, columns_, groups_;
};

}  // namespace neurona
