#include "ops/batch_norm.h"

#include <algorithm>
#include <cmath>

#include "core/arena.h"
#include "core/batch_norm_rules.h"
#include "core/cpu.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Rows that are summed in float32: few enough for accuracy, and in cache for the second look that
// `moments` takes.
constexpr int64_t kChunkRows = 128;
// Partial results per channel: enough pieces for any number of threads, few enough to combine.
constexpr int64_t kMaxBlocks = 64;
// Columns of one piece of work: 128 rows of them are 128 KiB, inside L2.
constexpr int64_t kTileColumns = 256;

// Few channels waste vector lanes. Rows are therefore merged until they are about 64 wide: each
// channel then appears `merged` times in a wide row. Rows that do not fill a wide one remain.
struct WideRows {
  int64_t rows, width, merged, rest;

  explicit WideRows(const BatchNormShape& shape)
      : merged(shape.channels <= 32 ? 64 / shape.channels : 1) {
    rows = shape.rows / merged;
    rest = shape.rows % merged;
    width = shape.channels * merged;
  }

  int64_t blocks() const { return std::min(kMaxBlocks, (rows + kChunkRows - 1) / kChunkRows); }
  int64_t chunks_per_block() const {
    const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
    return (chunks + blocks() - 1) / blocks();
  }
  // Rows of a block; the last block may have fewer, or none.
  int64_t first_row(int64_t block) const {
    return std::min(rows, block * chunks_per_block() * kChunkRows);
  }
  int64_t rest_offset() const { return rows * width; }
};

// Calls body(block, first_row, end_row, column, columns) for all tiles of blocks and columns.
template <typename Body>
void for_each_tile(const WideRows& wide, const Body& body) {
  const int64_t blocks = wide.blocks(), tiles = (wide.width + kTileColumns - 1) / kTileColumns;
  if (blocks == 0) return;
  const int64_t cost =
      (wide.first_row(1) - wide.first_row(0)) * std::min(wide.width, kTileColumns) * 2;
  parallel_for(blocks * tiles, grain_for(cost), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t block = i / tiles, column = i % tiles * kTileColumns;
      body(block, wide.first_row(block), wide.first_row(block + 1), column,
           std::min(kTileColumns, wide.width - column));
    }
  });
}

// Adds the mean and the sum of squared deviations of `count` values to those of `before` values
// (Chan et al. 1979). Weights that sum to 1, rather than a correction of the mean, keep an infinite
// mean infinite.
void merge(int64_t columns, int64_t before, int64_t count, const double* other_mean,
           const double* other_m2, double* mean, double* m2) {
  if (count == 0) return;
  const double weight = static_cast<double>(count) / static_cast<double>(before + count);
  const double spread = static_cast<double>(before) * weight;
  for (int64_t c = 0; c < columns; ++c) {
    const double delta = other_mean[c] - mean[c];
    m2[c] += other_m2[c] + delta * delta * spread;
    mean[c] = mean[c] * (1 - weight) + other_mean[c] * weight;
  }
}

// Turns sums about a shift into a mean and a sum of squared deviations.
void unshift(int64_t columns, int64_t rows, const float* shift, const float* sum,
             const float* squares, double* mean, double* m2) {
  const double share = 1 / static_cast<double>(rows);
  for (int64_t c = 0; c < columns; ++c) {
    const double d = sum[c] * share;
    mean[c] = std::isinf(shift[c]) ? shift[c] : shift[c] + d;  // d is NaN then
    m2[c] = squares[c] - d * sum[c];
  }
}

// Mean and sum of squared deviations of each channel.
void statistics(const BatchNormShape& shape, const float* x, double* mean, double* m2) {
  const WideRows wide(shape);
  const auto moments = kernels().batch_norm.moments;
  const int64_t blocks = wide.blocks();
  const Scratch<double> means((blocks + 1) * wide.width), m2s((blocks + 1) * wide.width);
  const auto add_chunks = [&](const float* first, int64_t rows, int64_t row_step, int64_t columns,
                              double* block_mean, double* block_m2) {
    float shift[kTileColumns], sum[kTileColumns], squares[kTileColumns];
    double mean_of_chunk[kTileColumns], m2_of_chunk[kTileColumns];
    std::fill(block_mean, block_mean + columns, 0.0);
    std::fill(block_m2, block_m2 + columns, 0.0);
    for (int64_t row = 0; row < rows; row += kChunkRows) {
      const int64_t count = std::min(kChunkRows, rows - row);
      moments(first + row * row_step, count, row_step, columns, shift, sum, squares);
      unshift(columns, count, shift, sum, squares, mean_of_chunk, m2_of_chunk);
      merge(columns, row, count, mean_of_chunk, m2_of_chunk, block_mean, block_m2);
    }
  };
  for_each_tile(wide,
                [&](int64_t block, int64_t begin, int64_t end, int64_t column, int64_t columns) {
                  const int64_t at = block * wide.width + column;
                  add_chunks(x + begin * wide.width + column, end - begin, wide.width, columns,
                             means.data() + at, m2s.data() + at);
                });
  double *rest_mean = means.data() + blocks * wide.width,
         *rest_m2 = m2s.data() + blocks * wide.width;
  add_chunks(x + wide.rest_offset(), wide.rest, shape.channels, wide.rest ? shape.channels : 0,
             rest_mean, rest_m2);
  std::fill(mean, mean + shape.channels, 0.0);
  std::fill(m2, m2 + shape.channels, 0.0);
  int64_t before = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t count = wide.first_row(block + 1) - wide.first_row(block);
    for (int64_t at = block * wide.width; at < (block + 1) * wide.width;
         at += shape.channels, before += count)
      merge(shape.channels, before, count, means.data() + at, m2s.data() + at, mean, m2);
  }
  merge(shape.channels, before, wide.rest, rest_mean, rest_m2, mean, m2);
  // Rounding may leave a tiny negative number where all values are equal; NaN stays.
  for (int64_t c = 0; c < shape.channels; ++c)
    if (m2[c] < 0) m2[c] = 0;
}

// Coefficients per channel, repeated for the channels of a wide row.
class Coefficients {
 public:
  Coefficients(const BatchNormShape& shape, const WideRows& wide, int64_t kinds)
      : channels_(shape.channels), width_(wide.width), data_(kinds * wide.width) {}

  void set(int64_t kind, int64_t channel, double value) {
    for (int64_t at = channel; at < width_; at += channels_)
      data_[kind * width_ + at] = static_cast<float>(value);
  }
  const float* operator[](int64_t kind) const { return data_.data() + kind * width_; }

 private:
  int64_t channels_, width_;
  Scratch<float> data_;
};

// Calls body(offset, rows, width) for pieces of whole rows that cover the array.
template <typename Body>
void for_each_row_range(const BatchNormShape& shape, const WideRows& wide, int64_t cost,
                        const Body& body) {
  parallel_for(wide.rows, grain_for(wide.width * cost), [&](int64_t begin, int64_t end) {
    body(begin * wide.width, end - begin, wide.width);
  });
  if (wide.rest) body(wide.rest_offset(), wide.rest, shape.channels);
}

int64_t bytes_of(const BatchNormShape& shape) {
  return shape.rows * shape.channels * int64_t{sizeof(float)};
}

// A gate that is absent stays so, wherever a piece begins.
const float* from(const float* gate, int64_t offset) { return gate ? gate + offset : nullptr; }

void normalize(const BatchNormShape& shape, const WideRows& wide, const Coefficients& coefficients,
               const float* x, const float* gate, bool relu, float* y) {
  const auto kernel = kernels().batch_norm.normalize;
  const bool past_caches = y != x && outgrows_caches((gate ? 3 : 2) * bytes_of(shape));
  for_each_row_range(shape, wide, 8, [&](int64_t offset, int64_t rows, int64_t width) {
    kernel(x + offset, from(gate, offset), rows, width, coefficients[0], coefficients[1],
           coefficients[2], relu, y + offset, past_caches);
  });
}

// y = (x - float(mean)) scale + (bias - (mean - float(mean)) scale): a mean of any size costs no
// accuracy.
void set_normalization(Coefficients& coefficients, int64_t channel, double mean, double scale,
                       double bias) {
  const auto rounded = static_cast<double>(static_cast<float>(mean));
  coefficients.set(0, channel, rounded);
  coefficients.set(1, channel, scale);
  const double correction = (mean - rounded) * scale;  // NaN when the mean or the scale is infinite
  coefficients.set(2, channel, std::isfinite(correction) ? bias - correction : bias);
}

}  // namespace

void check_running_var(const char* op, const float* variance, int64_t channels) {
  check_variances(op, variance, channels);
}

void batch_norm_training(const BatchNormShape& shape, const BatchNormTraining& options,
                         const float* x, float* y, float* mean, float* invstd) {
  const WideRows wide(shape);
  const auto count = static_cast<double>(shape.rows);
  Coefficients coefficients(shape, wide, 3);
  const Scratch<double> means(shape.channels), m2s(shape.channels);
  statistics(shape, x, means.data(), m2s.data());
  for (int64_t c = 0; c < shape.channels; ++c) {
    const double variance = shape.rows ? m2s[c] / count : 0,
                 inverse = 1 / std::sqrt(variance + options.eps);
    set_normalization(coefficients, c, means[c], inverse * (options.weight ? options.weight[c] : 1),
                      options.bias ? options.bias[c] : 0);
    mean[c] = static_cast<float>(means[c]);
    invstd[c] = static_cast<float>(inverse);
    if (options.running_mean && shape.rows) {
      const double keep = 1 - options.momentum;
      options.running_mean[c] =
          static_cast<float>(keep * options.running_mean[c] + options.momentum * means[c]);
      options.running_var[c] = static_cast<float>(keep * options.running_var[c] +
                                                  options.momentum * m2s[c] / (count - 1));
    }
  }
  normalize(shape, wide, coefficients, x, nullptr, options.relu, y);
}

void batch_norm_evaluation(const BatchNormShape& shape, const float* weight, const float* bias,
                           const float* running_mean, const float* running_var, double eps,
                           bool relu, const float* x, float* y, float* mean, float* invstd) {
  const WideRows wide(shape);
  Coefficients coefficients(shape, wide, 3);
  for (int64_t c = 0; c < shape.channels; ++c) {
    const double inverse = 1 / std::sqrt(running_var[c] + eps);
    set_normalization(coefficients, c, running_mean[c], inverse * (weight ? weight[c] : 1),
                      bias ? bias[c] : 0);
    mean[c] = running_mean[c];
    invstd[c] = static_cast<float>(inverse);
  }
  normalize(shape, wide, coefficients, x, nullptr, relu, y);
}

void batch_norm_backward(const BatchNormShape& shape, bool training, const float* dy,
                         const float* gate, const float* x, const float* weight, const float* mean,
                         const float* invstd, const BatchNormGradients& gradients) {
  const WideRows wide(shape);
  const int64_t blocks = wide.blocks(), channels = shape.channels;
  Coefficients coefficients(shape, wide, 4);
  for (int64_t c = 0; c < channels; ++c) coefficients.set(0, c, mean[c]);

  const auto gradient_sums = kernels().batch_norm.gradient_sums;
  const Scratch<double> sums((blocks + 1) * wide.width), products((blocks + 1) * wide.width);
  const auto add_chunks = [&](int64_t first, int64_t rows, int64_t row_step, int64_t column,
                              int64_t columns, double* block_sum, double* block_product) {
    float sum[kTileColumns], product[kTileColumns];
    std::fill(block_sum, block_sum + columns, 0.0);
    std::fill(block_product, block_product + columns, 0.0);
    for (int64_t row = 0; row < rows; row += kChunkRows) {
      const int64_t at = first + row * row_step + column;
      gradient_sums(dy + at, from(gate, at), x + at, std::min(kChunkRows, rows - row), row_step,
                    columns, coefficients[0] + column, sum, product);
      for (int64_t c = 0; c < columns; ++c) {
        block_sum[c] += sum[c];
        block_product[c] += product[c];
      }
    }
  };
  for_each_tile(wide,
                [&](int64_t block, int64_t begin, int64_t end, int64_t column, int64_t columns) {
                  const int64_t at = block * wide.width + column;
                  add_chunks(begin * wide.width, end - begin, wide.width, column, columns,
                             sums.data() + at, products.data() + at);
                });
  const int64_t rest = blocks * wide.width;
  add_chunks(wide.rest_offset(), wide.rest, channels, 0, std::min(channels, kTileColumns),
             sums.data() + rest, products.data() + rest);

  const double count = static_cast<double>(shape.rows);
  for (int64_t c = 0; c < channels; ++c) {
    double sum = wide.rest ? sums[rest + c] : 0, product = wide.rest ? products[rest + c] : 0;
    for (int64_t at = c; at < rest; at += channels) {
      sum += sums[at];
      product += products[at];
    }
    product *= invstd[c];
    gradients.dbias[c] = static_cast<float>(sum);
    gradients.dweight[c] = static_cast<float>(product);
    const double scale = invstd[c] * (weight ? static_cast<double>(weight[c]) : 1);
    coefficients.set(1, c, scale);
    if (training && shape.rows) {
      coefficients.set(2, c, -scale * invstd[c] * product / count);
      coefficients.set(3, c, -scale * sum / count);
    } else {
      coefficients.set(0, c, 0);
      coefficients.set(2, c, 0);
    }
  }
  if (!training) return normalize(shape, wide, coefficients, dy, gate, false, gradients.dx);
  const auto gradient = kernels().batch_norm.gradient;
  const bool past_caches = outgrows_caches((gate ? 4 : 3) * bytes_of(shape));
  for_each_row_range(shape, wide, 12, [&](int64_t offset, int64_t rows, int64_t width) {
    gradient(dy + offset, from(gate, offset), x + offset, rows, width, coefficients[0],
             coefficients[1], coefficients[2], coefficients[3], gradients.dx + offset, past_caches);
  });
}

}  // namespace neurona
