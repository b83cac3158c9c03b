// How a class label of any integer type is read, and what is said of one that is no class: the same
// words for the host and for a device.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/errors.h"

#if defined(__CUDACC__)
#define NEURONA_ON_BOTH __host__ __device__
#else
#define NEURONA_ON_BOTH
#endif

namespace neurona {

constexpr int64_t kIgnoredLabel = -1, kNoClass = -2;

// 0 .. classes - 1, kIgnoredLabel where it equals ignore_index, or kNoClass.
template <typename Label>
NEURONA_ON_BOTH inline int64_t read_label(Label raw, int64_t classes, int64_t ignore_index) {
  const auto label = static_cast<int64_t>(raw);
  // An unsigned label beyond int64 must not wrap round to a negative ignore_index.
  const bool fits = std::is_signed<Label>::value || label >= 0;
  if (fits && label == ignore_index) return kIgnoredLabel;
  return label >= 0 && label < classes ? label : kNoClass;
}

template <typename Label>
[[noreturn]] void fail_label(const char* op, Label raw, int64_t classes, int64_t ignore_index,
                             int64_t position) {
  fail_value(op, "target must be in 0..", classes - 1, " (", classes, " classes) or ignore_index (",
             ignore_index, "), got ", +raw, " at position ", position);
}

[[noreturn]] inline void fail_class_weight(const char* op, float weight, int64_t position) {
  fail_value(op, "weight must be >= 0 for every class, got ", weight, " for class ", position);
}

// Calls body(Label{}) with the type of labels of `bytes` bytes.
template <typename Body>
void with_label_type(int bytes, bool is_signed, const Body& body) {
  const auto call = [&](auto as_signed) {
    if (is_signed) return body(as_signed);
    body(std::make_unsigned_t<decltype(as_signed)>{});
  };
  switch (bytes) {
    case 1: return call(int8_t{});
    case 2: return call(int16_t{});
    case 4: return call(int32_t{});
    default: return call(int64_t{});
  }
}

}  // namespace neurona
