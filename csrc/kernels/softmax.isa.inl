// softmax      y = exp(x - max x) / sum exp(x - max x)            dx = y (dy - sum dy y)
// log-softmax  y = x - max x - log sum exp(x - max x)             dx = dy - exp(y) sum dy
//
// Two forms: rows, with the vector along the row, and columns, with one softmax per lane. Short
// rows are transposed on the stack and run as columns: for ten classes that takes about half the
// time of rows, on every ISA. NaN, +inf, or -inf throughout a row give NaN in the whole row: the
// maximum skips NaN, the sum does not.
#include "kernels/softmax.h"

#include "kernels/math.inl"

namespace neurona::NEURONA_ISA {
namespace {

constexpr int kShortRow = 16;
// Terms that one accumulator adds before it is emptied into the next level: keeps the error of long
// sums near a tree's.
constexpr int64_t kBlock = 64;

NEURONA_INLINE int lanes_left(int64_t rest) {
  return rest < kLanes ? static_cast<int>(rest) : kLanes;
}
NEURONA_INLINE Vec larger(Vec a, Vec b) { return select(b > a, b, a); }

NEURONA_INLINE float reduce_max(Vec v) {
  if constexpr (kLanes > 8) v = larger(v, exchange<8>(v));
  if constexpr (kLanes > 4) v = larger(v, exchange<4>(v));
  v = larger(v, exchange<2>(v));
  v = larger(v, exchange<1>(v));
  return v[0];
}

// The first n lanes of v, and `filler` in the others.
NEURONA_INLINE Vec first_lanes(Vec v, int n, float filler) {
  IntVec lane;
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return select(lane < broadcast_int(n), v, broadcast(filler));
}

// A strip of n <= kLanes columns; a full one compiles to plain loads and stores.
struct Strip {
  int64_t stride;
  int n;
  inline __attribute__((always_inline)) Vec get(const float* p, int64_t i) const {
    return n == kLanes ? load(p + i * stride) : load_partial(p + i * stride, n);
  }
  inline __attribute__((always_inline)) void set(float* p, int64_t i, Vec v) const {
    n == kLanes ? store(p + i * stride, v) : store_partial(p + i * stride, v, n);
  }
};

struct Statistics {
  Vec maximum, sum;
};

// Maximum and sum down a strip; the exponentials are kept in y unless it is null.
NEURONA_INLINE Statistics strip_statistics(const Strip& strip, const float* x, float* y,
                                           int64_t length) {
  Vec maximum = broadcast(-__builtin_inff());
  for (int64_t i = 0; i < length; ++i) maximum = larger(maximum, strip.get(x, i));
  Vec sum = {};
  for (int64_t begin = 0; begin < length; begin += kBlock) {
    const int64_t end = begin + kBlock < length ? begin + kBlock : length;
    Vec part = {};
    for (int64_t i = begin; i < end; ++i) {
      const Vec e = exponential_of_negative(strip.get(x, i) - maximum);
      if (y) strip.set(y, i, e);
      part += e;
    }
    sum += part;
  }
  return {maximum, sum};
}

// sum over i of f(i), blocked.
template <typename Term>
NEURONA_INLINE Vec blocked_sum(int64_t length, const Term& term) {
  Vec sum = {};
  for (int64_t begin = 0; begin < length; begin += kBlock) {
    const int64_t end = begin + kBlock < length ? begin + kBlock : length;
    Vec part = {};
    for (int64_t i = begin; i < end; ++i) part += term(i);
    sum += part;
  }
  return sum;
}

NEURONA_INLINE void softmax_strip(const Strip& strip, const float* x, float* y, int64_t length) {
  const Statistics s = strip_statistics(strip, x, y, length);
  const Vec factor = 1.0f / s.sum;
  for (int64_t i = 0; i < length; ++i) strip.set(y, i, strip.get(y, i) * factor);
}

NEURONA_INLINE void log_softmax_strip(const Strip& strip, const float* x, float* y,
                                      int64_t length) {
  const Statistics s = strip_statistics(strip, x, nullptr, length);
  const Vec log_sum = logarithm(s.sum);
  for (int64_t i = 0; i < length; ++i) strip.set(y, i, (strip.get(x, i) - s.maximum) - log_sum);
}

NEURONA_INLINE void softmax_backward_strip(const Strip& strip, const float* dy, const float* y,
                                           float* dx, int64_t length) {
  const Vec dot =
      blocked_sum(length, [&](int64_t i) { return strip.get(dy, i) * strip.get(y, i); });
  for (int64_t i = 0; i < length; ++i) strip.set(dx, i, strip.get(y, i) * (strip.get(dy, i) - dot));
}

NEURONA_INLINE void log_softmax_backward_strip(const Strip& strip, const float* dy, const float* y,
                                               float* dx, int64_t length) {
  const Vec sum = blocked_sum(length, [&](int64_t i) { return strip.get(dy, i); });
  for (int64_t i = 0; i < length; ++i)
    strip.set(dx, i, strip.get(dy, i) - exponential(strip.get(y, i)) * sum);
}

void softmax_columns(const float* x, float* y, int64_t length, int64_t columns, int64_t stride) {
  for (int64_t j = 0; j < columns; j += kLanes)
    softmax_strip({stride, lanes_left(columns - j)}, x + j, y + j, length);
}

void log_softmax_columns(const float* x, float* y, int64_t length, int64_t columns,
                         int64_t stride) {
  for (int64_t j = 0; j < columns; j += kLanes)
    log_softmax_strip({stride, lanes_left(columns - j)}, x + j, y + j, length);
}

void softmax_backward_columns(const float* dy, const float* y, float* dx, int64_t length,
                              int64_t columns, int64_t stride) {
  for (int64_t j = 0; j < columns; j += kLanes)
    softmax_backward_strip({stride, lanes_left(columns - j)}, dy + j, y + j, dx + j, length);
}

void log_softmax_backward_columns(const float* dy, const float* y, float* dx, int64_t length,
                                  int64_t columns, int64_t stride) {
  for (int64_t j = 0; j < columns; j += kLanes)
    log_softmax_backward_strip({stride, lanes_left(columns - j)}, dy + j, y + j, dx + j, length);
}

// Up to kLanes short rows, one per lane; lanes without a row hold zeros.
struct Transposed {
  float values[kShortRow * kLanes];
  inline __attribute__((always_inline)) void read(const float* rows_data, int rows,
                                                  int64_t length) {
    for (int64_t i = 0; i < length; ++i) store(values + i * kLanes, Vec{});
    for (int row = 0; row < rows; ++row)
      for (int64_t i = 0; i < length; ++i) values[i * kLanes + row] = rows_data[row * length + i];
  }
  inline __attribute__((always_inline)) void write(float* rows_data, int rows,
                                                   int64_t length) const {
    for (int row = 0; row < rows; ++row)
      for (int64_t i = 0; i < length; ++i) rows_data[row * length + i] = values[i * kLanes + row];
  }
};

constexpr Strip kWholeVectors{kLanes, kLanes};

void softmax_short_rows(const float* x, float* y, int64_t rows, int64_t length,
                        const SoftmaxRowExtras& extras) {
  Transposed block;
  for (int64_t row = 0; row < rows; row += kLanes) {
    const int n = lanes_left(rows - row);
    block.read(x + row * length, n, length);
    const Statistics s = strip_statistics(kWholeVectors, block.values, block.values, length);
    if (extras.maximum) store_partial(extras.maximum + row, s.maximum, n);
    if (extras.sum) store_partial(extras.sum + row, s.sum, n);
    if (!y) continue;
    const Vec factor =
        (extras.scale ? load_partial(extras.scale + row, n) : broadcast(1.0f)) / s.sum;
    for (int64_t i = 0; i < length; ++i)
      store(block.values + i * kLanes, load(block.values + i * kLanes) * factor);
    block.write(y + row * length, n, length);
  }
}

float row_maximum(const float* x, int64_t length) {
  Vec first = broadcast(-__builtin_inff()), second = first;
  int64_t i = 0;
  for (; i + 2 * kLanes <= length; i += 2 * kLanes) {
    first = larger(first, load(x + i));
    second = larger(second, load(x + i + kLanes));
  }
  for (; i < length; i += kLanes) {
    const int n = lanes_left(length - i);
    first = larger(first, first_lanes(load_partial(x + i, n), n, -__builtin_inff()));
  }
  return reduce_max(larger(first, second));
}

// sum over a row of vectors term(i, n), which have zeros behind n lanes; blocked.
template <typename Term>
NEURONA_INLINE float row_sum(int64_t length, const Term& term) {
  constexpr int64_t kSpan = kBlock * kLanes;
  Vec sum = {};
  for (int64_t begin = 0; begin < length; begin += kSpan) {
    const int64_t end = begin + kSpan < length ? begin + kSpan : length;
    Vec first = {}, second = {};
    int64_t i = begin;
    for (; i + 2 * kLanes <= end; i += 2 * kLanes) {
      first += term(i, kLanes);
      second += term(i + kLanes, kLanes);
    }
    for (; i < end; i += kLanes) first += term(i, lanes_left(end - i));
    sum += first + second;
  }
  return reduce_add(sum);
}

// y = f(i, n) along a row.
template <typename Value>
NEURONA_INLINE void fill_row(float* y, int64_t length, const Value& value) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= length; i += 2 * kLanes) {
    const Vec first = value(i, kLanes), second = value(i + kLanes, kLanes);
    store(y + i, first);
    store(y + i + kLanes, second);
  }
  for (; i < length; i += kLanes) {
    const int n = lanes_left(length - i);
    store_partial(y + i, value(i, n), n);
  }
}

NEURONA_INLINE Vec get(const float* p, int64_t i, int n) {
  return n == kLanes ? load(p + i) : load_partial(p + i, n);
}

// Sum of exp(x - maximum) over a row; the exponentials are kept in y unless it is null.
float row_exponentials(const float* x, float* y, int64_t length, float maximum) {
  const Vec shift = broadcast(maximum);
  return row_sum(length, [&](int64_t i, int n) {
    const Vec e = exponential_of_negative(get(x, i, n) - shift);
    if (n == kLanes) {
      if (y) store(y + i, e);
      return e;
    }
    if (y) store_partial(y + i, e, n);
    return first_lanes(e, n, 0.0f);
  });
}

void softmax_rows(const float* x, float* y, int64_t rows, int64_t length,
                  const SoftmaxRowExtras& extras) {
  if (length <= kShortRow) return softmax_short_rows(x, y, rows, length, extras);
  for (int64_t row = 0; row < rows; ++row, x += length) {
    const float maximum = row_maximum(x, length), sum = row_exponentials(x, y, length, maximum);
    if (extras.maximum) extras.maximum[row] = maximum;
    if (extras.sum) extras.sum[row] = sum;
    if (!y) continue;
    const Vec factor = broadcast((extras.scale ? extras.scale[row] : 1.0f) / sum);
    fill_row(y, length, [&](int64_t i, int n) { return get(y, i, n) * factor; });
    y += length;
  }
}

void log_softmax_rows(const float* x, float* y, int64_t rows, int64_t length) {
  if (length <= kShortRow) {
    Transposed block;
    for (int64_t row = 0; row < rows; row += kLanes) {
      const int n = lanes_left(rows - row);
      block.read(x + row * length, n, length);
      log_softmax_strip(kWholeVectors, block.values, block.values, length);
      block.write(y + row * length, n, length);
    }
    return;
  }
  for (int64_t row = 0; row < rows; ++row, x += length, y += length) {
    const float maximum = row_maximum(x, length);
    const Vec shift = broadcast(maximum),
              log_sum = logarithm(broadcast(row_exponentials(x, nullptr, length, maximum)));
    fill_row(y, length, [&](int64_t i, int n) { return (get(x, i, n) - shift) - log_sum; });
  }
}

void softmax_backward_rows(const float* dy, const float* y, float* dx, int64_t rows,
                           int64_t length) {
  for (int64_t row = 0; row < rows; ++row, dy += length, y += length, dx += length) {
    const Vec dot =
        broadcast(row_sum(length, [&](int64_t i, int n) { return get(dy, i, n) * get(y, i, n); }));
    fill_row(dx, length, [&](int64_t i, int n) { return get(y, i, n) * (get(dy, i, n) - dot); });
  }
}

void log_softmax_backward_rows(const float* dy, const float* y, float* dx, int64_t rows,
                               int64_t length) {
  for (int64_t row = 0; row < rows; ++row, dy += length, y += length, dx += length) {
    const Vec sum = broadcast(row_sum(length, [&](int64_t i, int n) { return get(dy, i, n); }));
    fill_row(dx, length,
             [&](int64_t i, int n) { return get(dy, i, n) - exponential(get(y, i, n)) * sum; });
  }
}

void logarithms(const float* x, float* y, int64_t count) {
  fill_row(y, count, [&](int64_t i, int n) { return logarithm(get(x, i, n)); });
}

}  // namespace

SoftmaxKernels softmax_kernels() {
  return {
      softmax_rows,    log_softmax_rows,    softmax_backward_rows,    log_softmax_backward_rows,
      softmax_columns, log_softmax_columns, softmax_backward_columns, log_softmax_backward_columns,
      logarithms};
}

}  // namespace neurona::NEURONA_ISA
