#include "ops/random.h"

#include <algorithm>

#include "core/dropout_rules.h"
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

void dropout(const std::shared_ptr<const RandomStream>& stream, int64_t count, const float* x,
             double p, float* y) {
  const auto kernel = kernels().random.dropout;
  const DropoutRule rule = dropout_rule(p);
  for_each_share(count, [&](int64_t block, int64_t first, int64_t n) {
    kernel(*stream, block, n, x + first, rule.threshold, rule.scale, y + first);
  });
}

}  // namespace neurona
