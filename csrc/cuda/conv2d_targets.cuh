// Where a convolution's gradients go that are no plain rows (see epilogue.cuh).
#pragma once

#include <type_traits>

#include "cuda/product/epilogue.cuh"
#include "cuda/product/patches.cuh"

namespace neurona {

// dx of the pixels that share their remainders, which are every stride-th in both directions.
template <typename Rows>
struct PixelsOf {
  Rows rows;
  Divisor by_row, by_column;
  int64_t height, width, first_h, first_w, stride_h, stride_w;

  using Row = typename Rows::Row;
  template <int kRun>
  using Columns = typename Rows::template Columns<kRun>;

  __device__ Row row(int64_t batch, int64_t m) const {
    const Divided row = divide(m, by_column), image = divide(row.quotient, by_row);
    const int64_t h = first_h + image.remainder * stride_h, w = first_w + row.remainder * stride_w;
    return rows.row(batch, (image.quotient * height + h) * width + w);
  }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t batch, int64_t n, int count) const {
    return rows.template columns<kRun>(batch, n, count);
  }
  template <int kRun>
  __device__ bool stores_together() const {
    return rows.template stores_together<kRun>();
  }
  template <int kRun>
  __device__ void store_together(const Row& row, const Columns<kRun>& columns,
                                 const Run<kRun>& sums) const {
    rows.store_together(row, columns, sums);
  }
  template <int kRun>
  __device__ void store(const Row& row, const Columns<kRun>& columns, const Run<kRun>& sums) const {
    rows.store(row, columns, sums);
  }
  template <typename Body>
  __device__ bool specialised(const Body& body) const {
    return rows.specialised([&](const auto& special) {
      body(PixelsOf<std::decay_t<decltype(special)>>{special, by_row, by_column, height, width,
                                                     first_h, first_w, stride_h, stride_w});
    });
  }
};
using PixelTarget = PixelsOf<RowTarget>;

inline PixelTarget pixel_target(const Conv2dShape& shape, const Remainder& rows,
                                const Remainder& columns, const RowTarget& pixels) {
  return {pixels,     Divisor(rows.count), Divisor(columns.count), shape.h,        shape.w,
          rows.first, columns.first,       shape.stride[0],        shape.stride[1]};
}

// Calls body(rows, columns) for the sets of pixels of an image's gradient, where there are pixels.
template <typename Body>
void for_remainders(const Conv2dShape& shape, const Body& body) {
  for (int64_t row_residue = 0; row_residue < shape.stride[0]; ++row_residue)
    for (int64_t column_residue = 0; column_residue < shape.stride[1]; ++column_residue) {
      const Remainder rows = remainder_of(shape, 0, row_residue),
                      columns = remainder_of(shape, 1, column_residue);
      if (rows.count > 0 && columns.count > 0) body(rows, columns);
    }
}

}  // namespace neurona
