#include "core/denormals.h"

#include <atomic>

namespace neurona {
namespace {

std::atomic<bool> flush_requested{false};

}  // namespace

bool set_flush_denormal(bool flush) {
#if defined(__SSE__) || defined(__aarch64__)
  flush_requested.store(flush, std::memory_order_relaxed);
  return true;
#else
  return !flush;
#endif
}

bool flush_denormal() { return flush_requested.load(std::memory_order_relaxed); }

}  // namespace neurona
