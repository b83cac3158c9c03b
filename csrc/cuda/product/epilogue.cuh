// What happens to a product's sums on their way to memory.
#pragma once

#include <cstdint>

#include "cuda/device.h"
#include "ops/gemm.h"

namespace neurona {

// Adding it changes no number, nor the sign of a zero: it stands for what is not to be added, so
// that nothing has to be asked for each element.
constexpr float kNothing = -0.0f;

// Sums of neighbouring columns: 1, 2 or 4.
template <int kRun>
struct Run {
  float at[kRun];
};

// With one instruction, to a multiple of so many floats in the device's memory, not in shared
// memory. An assignment may become one for each.
__device__ inline void store_together(float* to, const Run<1>& run) { *to = run.at[0]; }
__device__ inline void store_together(float* to, const Run<2>& run) {
  __stwb(reinterpret_cast<float2*>(to), make_float2(run.at[0], run.at[1]));
}
__device__ inline void store_together(float* to, const Run<4>& run) {
  __stwb(reinterpret_cast<float4*>(to), make_float4(run.at[0], run.at[1], run.at[2], run.at[3]));
}

// c[m * stride + n] = act(alpha sum + [c] + bias[n]), the batches lying batch_columns apart along n
// (as the groups of a convolution do).
struct RowTarget {
  float* c;
  int64_t stride, batch_columns;
  GemmEpilogue epilogue;

  using Row = float*;
  template <int kRun>
  struct Columns {
    int64_t first;
    int count;
    float bias[kRun];
  };

  template <int kRun>
  __device__ bool stores_together() const {
    return stride % kRun == 0 && batch_columns % kRun == 0 &&
           reinterpret_cast<uintptr_t>(c) % (kRun * sizeof(float)) == 0;
  }

  __device__ Row row(int64_t /* batch */, int64_t m) const { return c + m * stride; }

  template <int kRun>
  __device__ Columns<kRun> columns(int64_t batch, int64_t n, int count) const {
    Columns<kRun> columns{batch * batch_columns + n, count, {}};
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i)
      columns.bias[i] = epilogue.bias && i < count ? epilogue.bias[columns.first + i] : kNothing;
    return columns;
  }

  template <int kRun>
  __device__ void store_together(const Row& row, const Columns<kRun>& columns,
                                 const Run<kRun>& sums) const {
    float* place = row + columns.first;
    Run<kRun> values;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i) values.at[i] = value_of(sums.at[i], place + i, columns.bias[i]);
    neurona::store_together(place, values);
  }

  template <int kRun>
  __device__ void store(const Row& row, const Columns<kRun>& columns, const Run<kRun>& sums) const {
    float* place = row + columns.first;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i)
      if (i < columns.count) place[i] = value_of(sums.at[i], place + i, columns.bias[i]);
  }

  // A single element, for kernels that have no runs.
  __device__ void store(int64_t batch, int64_t m, int64_t n, float sum) const {
    store(row(batch, m), columns<1>(batch, n, 1), Run<1>{{sum}});
  }

  // Calls body with a target for whole runs that asks no more than this epilogue needs, for kernels
  // whose threads hold many sums; false if it needs all.
  template <typename Body>
  __device__ bool specialised(const Body& body) const;

  // Without a branch: 1 is the slope of no activation.
  __device__ float value_of(float sum, const float* old, float bias) const {
    const float value = epilogue.alpha * sum + (epilogue.accumulate ? *old : kNothing) + bias;
    const float slope = epilogue.activation == TileActivation::kLeakyRelu ? kLeakySlope : 1.0f;
    const float low = epilogue.activation == TileActivation::kRelu ? 0.0f : value * slope;
    return value <= 0 ? low : value;
  }

  static constexpr float kLeakySlope = 0.01f;
};

// c[m * stride + n] = sum.
struct PlainRows {
  RowTarget rows;

  using Row = RowTarget::Row;
  template <int kRun>
  using Columns = int64_t;  // the first

  __device__ Row row(int64_t batch, int64_t m) const { return rows.row(batch, m); }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t batch, int64_t n, int) const {
    return batch * rows.batch_columns + n;
  }
  template <int kRun>
  __device__ void store_together(const Row& row, int64_t first, const Run<kRun>& sums) const {
    neurona::store_together(row + first, sums);
  }
};

// c[m * stride + n] = act(sum + bias[n]).
struct BiasedRows {
  RowTarget rows;
  bool is_relu;
  float slope;

  using Row = RowTarget::Row;
  template <int kRun>
  using Columns = RowTarget::Columns<kRun>;

  template <int kRun>
  __device__ bool stores_together() const {
    return rows.stores_together<kRun>();
  }
  __device__ Row row(int64_t batch, int64_t m) const { return rows.row(batch, m); }
  template <int kRun>
  __device__ Columns<kRun> columns(int64_t batch, int64_t n, int count) const {
    return rows.columns<kRun>(batch, n, count);
  }
  template <int kRun>
  __device__ void store_together(const Row& row, const Columns<kRun>& columns,
                                 const Run<kRun>& sums) const {
    Run<kRun> values;
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i) values.at[i] = value_of(sums.at[i], columns.bias[i]);
    neurona::store_together(row + columns.first, values);
  }
  template <int kRun>
  __device__ void store(const Row& row, const Columns<kRun>& columns, const Run<kRun>& sums) const {
    NEURONA_UNROLL
    for (int i = 0; i < kRun; ++i)
      if (i < columns.count) row[columns.first + i] = value_of(sums.at[i], columns.bias[i]);
  }

  __device__ float value_of(float sum, float bias) const {
    const float value = sum + bias, low = is_relu ? 0.0f : value * slope;
    return value <= 0 ? low : value;
  }
};

__host__ __device__ inline BiasedRows biased_rows(const RowTarget& rows) {
  const bool is_leaky = rows.epilogue.activation == TileActivation::kLeakyRelu;
  return {rows, rows.epilogue.activation == TileActivation::kRelu,
          is_leaky ? RowTarget::kLeakySlope : 1.0f};
}

template <typename Body>
__device__ bool RowTarget::specialised(const Body& body) const {
  if (epilogue.alpha != 1 || epilogue.accumulate) return false;
  if (!epilogue.bias && epilogue.activation == TileActivation::kNone)
    body(PlainRows{*this});
  else
    body(biased_rows(*this));
  return true;
}

// Rows of `columns` elements without gaps, c = act(sum + bias).
inline RowTarget rows_of(float* c, int64_t columns, const float* bias, TileActivation activation) {
  GemmEpilogue epilogue;
  epilogue.bias = bias;
  epilogue.activation = activation;
  return {c, columns, 0, epilogue};
}

}  // namespace neurona
