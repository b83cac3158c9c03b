// Batch normalisation: column sums and element-wise passes over rows of channels.
#include "kernels/batch_norm.h"

#include "kernels/partial.inl"
#include "kernels/stream.inl"

namespace neurona::NEURONA_ISA {
namespace {

// Calls body<vectors>(c, n) for blocks of columns: four vectors, one vector (the last one moved
// back so that it is whole), or the first n lanes of one when there are fewer columns.
template <typename Body>
NEURONA_INLINE void for_each_block(int64_t width, const Body& body) {
  if (width < kLanes) return body.template operator()<1>(0, static_cast<int>(width));
  int64_t c = 0;
  for (; c + 4 * kLanes <= width; c += 4 * kLanes) body.template operator()<4>(c, kLanes);
  for (; c < width; c += kLanes)
    body.template operator()<1>(c + kLanes <= width ? c : width - kLanes, kLanes);
}

// Sums are taken over groups of this many rows and then added up, for accuracy: errors grow with
// the terms in a row.
constexpr int64_t kGroup = 16;

NEURONA_INLINE int64_t group_end(int64_t begin, int64_t rows) {
  return begin + kGroup < rows ? begin + kGroup : rows;
}

void moments(const float* x, int64_t rows, int64_t row_step, int64_t width, float* shift,
             float* sum, float* squares) {
  const Vec share = broadcast(1.0f / static_cast<float>(rows));
  for_each_block(width, [&]<int kVecs>(int64_t c, int n) __attribute__((always_inline)) {
    // The sum of shares, unlike a share of the sum, does not overflow.
    Vec mean[kVecs] = {}, total[kVecs] = {}, square[kVecs] = {};
    const float* row = x + c;
    for (int64_t i = 0; i < rows; ++i, row += row_step)
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) mean[v] += share * load_first(row + v * kLanes, n);
    row = x + c;
    for (int64_t i = 0; i < rows;) {
      Vec group_total[kVecs] = {}, group_square[kVecs] = {};
      for (const int64_t end = group_end(i, rows); i < end; ++i, row += row_step)
#pragma GCC unroll 4
        for (int v = 0; v < kVecs; ++v) {
          const Vec difference = load_first(row + v * kLanes, n) - mean[v];
          group_total[v] += difference;
          group_square[v] += difference * difference;
        }
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        total[v] += group_total[v];
        square[v] += group_square[v];
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) {
      store_first(shift + c + v * kLanes, mean[v], n);
      store_first(sum + c + v * kLanes, total[v], n);
      store_first(squares + c + v * kLanes, square[v], n);
    }
  });
}

// dy, or 0 where a relu behind was not above 0 (a NaN passes, as in relu's own gradient).
template <bool Gated>
NEURONA_INLINE Vec load_gated(const float* dy, const float* gate, int64_t at, int n) {
  const Vec value = load_first(dy + at, n);
  return Gated ? select(load_first(gate + at, n) <= Vec{}, Vec{}, value) : value;
}

template <bool Gated>
void sums_of_gradient(const float* dy, const float* gate, const float* x, int64_t rows,
                      int64_t row_step, int64_t width, const float* mean, float* sum,
                      float* product) {
  for_each_block(width, [&]<int kVecs>(int64_t c, int n) __attribute__((always_inline)) {
    Vec total[kVecs] = {}, products[kVecs] = {}, centre[kVecs];
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) centre[v] = load_first(mean + c + v * kLanes, n);
    int64_t at = c;
    for (int64_t i = 0; i < rows;) {
      Vec group_total[kVecs] = {}, group_products[kVecs] = {};
      for (const int64_t end = group_end(i, rows); i < end; ++i, at += row_step)
#pragma GCC unroll 4
        for (int v = 0; v < kVecs; ++v) {
          const int64_t here = at + v * kLanes;
          const Vec gradient = load_gated<Gated>(dy, gate, here, n);
          group_total[v] += gradient;
          group_products[v] += gradient * (load_first(x + here, n) - centre[v]);
        }
#pragma GCC unroll 4
      for (int v = 0; v < kVecs; ++v) {
        total[v] += group_total[v];
        products[v] += group_products[v];
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVecs; ++v) {
      store_first(sum + c + v * kLanes, total[v], n);
      store_first(product + c + v * kLanes, products[v], n);
    }
  });
}

void gradient_sums(const float* dy, const float* gate, const float* x, int64_t rows,
                   int64_t row_step, int64_t width, const float* mean, float* sum, float* product) {
  const auto run = gate ? sums_of_gradient<true> : sums_of_gradient<false>;
  run(dy, gate, x, rows, row_step, width, mean, sum, product);
}

// Calls body(c, n) for the vectors of each row in turn: the coefficients stay in L1 and memory is
// read as a stream.
template <typename Body>
NEURONA_INLINE void for_each_vector(int64_t rows, int64_t width, const Body& body) {
  for (int64_t i = 0, at = 0; i < rows; ++i, at += width) {
    int64_t c = 0;
    for (; c + kLanes <= width; c += kLanes) body(at + c, c, kLanes);
    if (c < width) body(at + c, c, static_cast<int>(width - c));
  }
}

// Past the caches only if all rows begin with a whole vector of memory.
NEURONA_INLINE bool can_stream(const float* y, int64_t width, bool past_caches) {
  return past_caches && width % kLanes == 0 && floats_to_vector(y, kLanes) == 0;
}

template <bool kStream>
NEURONA_INLINE void put(float* p, Vec v, int n) {
  if (n == kLanes) return store_or_stream<kStream>(p, v);
  store_partial(p, v, n);
}

template <bool Relu, bool Gated, bool kStream>
void normalize_rows(const float* x, const float* gate, int64_t rows, int64_t width,
                    const float* mean, const float* scale, const float* bias, float* y) {
  for_each_vector(rows, width, [&](int64_t at, int64_t c, int n) __attribute__((always_inline)) {
    const Vec centred = load_gated<Gated>(x, gate, at, n) - load_first(mean + c, n);
    const Vec value = centred * load_first(scale + c, n) + load_first(bias + c, n);
    put<kStream>(y + at, Relu ? select(value <= Vec{}, Vec{}, value) : value, n);
  });
  end_stream<kStream>();
}

template <bool kStream>
auto normalizer(bool relu, bool gated) {
  return relu    ? normalize_rows<true, false, kStream>
         : gated ? normalize_rows<false, true, kStream>
                 : normalize_rows<false, false, kStream>;
}

void normalize(const float* x, const float* gate, int64_t rows, int64_t width, const float* mean,
               const float* scale, const float* bias, bool relu, float* y, bool past_caches) {
  const auto run = can_stream(y, width, past_caches) ? normalizer<true>(relu, gate)
                                                     : normalizer<false>(relu, gate);
  run(x, gate, rows, width, mean, scale, bias, y);
}

template <bool Gated, bool kStream>
void gradient_rows(const float* dy, const float* gate, const float* x, int64_t rows, int64_t width,
                   const float* mean, const float* scale, const float* slope, const float* offset,
                   float* dx) {
  for_each_vector(rows, width, [&](int64_t at, int64_t c, int n) __attribute__((always_inline)) {
    const Vec centred = load_first(x + at, n) - load_first(mean + c, n);
    const Vec rest = centred * load_first(slope + c, n) + load_first(offset + c, n);
    const Vec own = load_gated<Gated>(dy, gate, at, n);
    put<kStream>(dx + at, own * load_first(scale + c, n) + rest, n);
  });
  end_stream<kStream>();
}

void gradient(const float* dy, const float* gate, const float* x, int64_t rows, int64_t width,
              const float* mean, const float* scale, const float* slope, const float* offset,
              float* dx, bool past_caches) {
  const auto stored = gate ? gradient_rows<true, false> : gradient_rows<false, false>,
             streamed = gate ? gradient_rows<true, true> : gradient_rows<false, true>;
  const auto run = can_stream(dx, width, past_caches) ? streamed : stored;
  run(dy, gate, x, rows, width, mean, scale, slope, offset, dx);
}

}  // namespace

BatchNormKernels batch_norm_kernels() { return {moments, gradient_sums, normalize, gradient}; }

}  // namespace neurona::NEURONA_ISA
