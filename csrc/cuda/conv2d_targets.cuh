// Where a convolution's gradients go that are no plain rows (see epilogue.cuh).
#pragma once

#include "cuda/epilogue.cuh"
#include "cuda/patches.cuh"

namespace neurona {

// dx of the pixels that share their remainders, which are every stride-th in both directions.
struct PixelTarget {
  RowTarget rows;
  Divisor by_row, by_column;
  int64_t height, width, first_h, first_w, stride_h, stride_w;

  PixelTarget(const Conv2dShape& shape, const Remainder& row_set, const Remainder& column_set,
              const RowTarget& pixels)
      : rows(pixels),
        by_row(row_set.count),
        by_column(column_set.count),
        height(shape.h),
        width(shape.w),
        first_h(row_set.first),
        first_w(column_set.first),
        stride_h(shape.stride[0]),
        stride_w(shape.stride[1]) {}

  using Row = RowTarget::Row;
  template <int kRun>
  using Columns = RowTarget::Columns<kRun>;

  __device__ Row row(int64_t batch, int64_t m) const {
    const Divided row = divide(m, by_column), image = divide(row.quotient, by_row);
    const int64_t h = first_h + image.remainder * stride_h, w = first_w + row.remainder * stride_w;
    return rows.row(batch, (image.quotient * height + h) * width + w);
  }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t batch, int64_t n, int count) const {
    return rows.columns<kRun>(batch, n, count);
  }
  template <int kRun>
  __device__ bool stores_together() const {
    return rows.stores_together<kRun>();
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
};

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
