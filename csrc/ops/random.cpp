#include "ops/random.h"

#include <algorithm>
#include <cmath>

#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Threads share the work in units of this many elements, a whole number of steps for every vector
// width.
constexpr int64_t kUnit = 1024;
constexpr int64_t kUnitsPerThread = 8;  // about 10 microseconds

// run(first_block, first_element, count) on each share.
template <typename Run>
void for_each_share(int64_t count, const Run& run) {
  parallel_for((count + kUnit - 1) / kUnit, kUnitsPerThread, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kUnit;
    run(first / 4, first, std::min(end * kUnit, count) - first);
  });
}

}  // namespace

void philox(const RandomStream& stream, int64_t count, uint32_t* out) {
  const auto kernel = kernels().random.words;
  for_each_share(count, [&](int64_t block, int64_t first, int64_t n) {
    kernel(stream, block, n, out + first);
  });
}

void random_uniform(const RandomStream& stream, int64_t count, double low, double high,
                    float* out) {
  const auto kernel = kernels().random.uniform;
  for_each_share(count, [&](int64_t block, int64_t first, int64_t n) {
    kernel(stream, block, n, low, high - low, out + first);
  });
}

void random_normal(const RandomStream& stream, int64_t count, float mean, float std, float* out) {
  const auto kernel = kernels().random.normal;
  for_each_share(count, [&](int64_t block, int64_t first, int64_t n) {
    kernel(stream, block, n, mean, std, out + first);
  });
}

void dropout(const RandomStream& stream, int64_t count, const float* x, double p, float* y) {
  const auto kernel = kernels().random.dropout;
  // u >= p for a whole number u 2^24 means u 2^24 >= ceil(p 2^24); the product is exact.
  const auto threshold = static_cast<int32_t>(std::ceil(p * 0x1p24));
  const auto scale = static_cast<float>(p < 1 ? 1 / (1 - p) : 0.0);
  for_each_share(count, [&](int64_t block, int64_t first, int64_t n) {
    kernel(stream, block, n, x + first, threshold, scale, y + first);
  });
}

}  // namespace neurona
