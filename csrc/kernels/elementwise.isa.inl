// y = a op b, row by row; y is overwritten.
#include "kernels/elementwise.h"

#include "kernels/stream.inl"

namespace neurona::NEURONA_ISA {
namespace {

struct Add {
  template <typename T>
  NEURONA_INLINE T apply(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <typename T>
  NEURONA_INLINE T apply(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <typename T>
  NEURONA_INLINE T apply(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <typename T>
  NEURONA_INLINE T apply(T a, T b) {
    return a / b;
  }
};

// What an operand gives for the next kLanes elements of a row.
struct Contiguous {
  const float* data;
  NEURONA_INLINE Contiguous of(const float* row) { return {row}; }
  inline __attribute__((always_inline)) Vec at(int64_t i) const { return load(data + i); }
  inline __attribute__((always_inline)) Vec part(int64_t i, int n) const {
    return load_partial(data + i, n);
  }
};
struct Repeated {
  Vec value;
  NEURONA_INLINE Repeated of(const float* row) { return {broadcast(*row)}; }
  inline __attribute__((always_inline)) Vec at(int64_t) const { return value; }
  inline __attribute__((always_inline)) Vec part(int64_t, int) const { return value; }
};

template <typename Operation, typename A, typename B, bool kPastCaches>
void some_rows(const ConstRows& a, const ConstRows& b, float* y, int64_t rows, int64_t length) {
  for (int64_t row = 0; row < rows; ++row, y += length) {
    const A left = A::of(a.data + row * a.row_stride);
    const B right = B::of(b.data + row * b.row_stride);
    const auto some = [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      const int lanes = static_cast<int>(n);
      store_partial(y + i, Operation::apply(left.part(i, lanes), right.part(i, lanes)), lanes);
    };
    int64_t i = kPastCaches ? floats_to_vector(y, length) : 0;
    if (i > 0) some(0, i);
    for (; i + 4 * kLanes <= length; i += 4 * kLanes)
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j)
        store_or_stream<kPastCaches>(
            y + i + j * kLanes,
            Operation::apply(left.at(i + j * kLanes), right.at(i + j * kLanes)));
    for (; i + kLanes <= length; i += kLanes)
      store(y + i, Operation::apply(left.at(i), right.at(i)));
    if (i < length) some(i, length - i);
  }
  end_stream<kPastCaches>();
}

template <typename Operation, typename A, typename B>
void vector_rows(const ConstRows& a, const ConstRows& b, float* y, int64_t rows, int64_t length,
                 bool past_caches) {
  const auto run =
      past_caches ? some_rows<Operation, A, B, true> : some_rows<Operation, A, B, false>;
  run(a, b, y, rows, length);
}

template <typename Operation>
void strided_rows(const ConstRows& a, const ConstRows& b, float* y, int64_t rows, int64_t length) {
  for (int64_t row = 0; row < rows; ++row, y += length) {
    const float* left = a.data + row * a.row_stride;
    const float* right = b.data + row * b.row_stride;
    for (int64_t i = 0; i < length; ++i)
      y[i] = Operation::apply(left[i * a.step], right[i * b.step]);
  }
}

template <typename Operation>
void arithmetic(const ConstRows& a, const ConstRows& b, float* y, int64_t rows, int64_t length,
                bool past_caches) {
  if (a.step == 1 && b.step == 1)
    return vector_rows<Operation, Contiguous, Contiguous>(a, b, y, rows, length, past_caches);
  if (a.step == 1 && b.step == 0)
    return vector_rows<Operation, Contiguous, Repeated>(a, b, y, rows, length, past_caches);
  if (a.step == 0 && b.step == 1)
    return vector_rows<Operation, Repeated, Contiguous>(a, b, y, rows, length, past_caches);
  strided_rows<Operation>(a, b, y, rows, length);
}

}  // namespace

ElementwiseKernels elementwise_kernels() {
  return {{arithmetic<Add>, arithmetic<Sub>, arithmetic<Mul>, arithmetic<Div>}};
}

}  // namespace neurona::NEURONA_ISA
