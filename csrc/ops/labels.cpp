#include "ops/labels.h"

#include <limits>
#include <type_traits>

#include "core/errors.h"

namespace neurona {
namespace {

template <typename Label>
void read_as(const char* op, const void* source, int64_t n, int64_t classes, int64_t ignore_index,
             int64_t* labels) {
  const auto* raw = static_cast<const Label*>(source);
  for (int64_t i = 0; i < n; ++i) {
    // An unsigned label beyond int64 must not wrap round into the valid range.
    const bool fits = std::is_signed_v<Label> ||
                      static_cast<uint64_t>(raw[i]) <= std::numeric_limits<int64_t>::max();
    const auto label = static_cast<int64_t>(raw[i]);
    if (fits && label == ignore_index) {
      labels[i] = kIgnoredLabel;
    } else if (fits && label >= 0 && label < classes) {
      labels[i] = label;
    } else {
      fail_value(op, "target must be in 0..", classes - 1, " (", classes,
                 " classes) or ignore_index (", ignore_index, "), got ", +raw[i], " at position ",
                 i);
    }
  }
}

}  // namespace

void read_labels(const char* op, const Labels& source, int64_t n, int64_t classes,
                 int64_t ignore_index, int64_t* labels) {
  const auto read = [&](auto as_signed) {
    using Signed = decltype(as_signed);
    if (source.is_signed) return read_as<Signed>(op, source.data, n, classes, ignore_index, labels);
    read_as<std::make_unsigned_t<Signed>>(op, source.data, n, classes, ignore_index, labels);
  };
  switch (source.bytes) {
    case 1: return read(int8_t{});
    case 2: return read(int16_t{});
    case 4: return read(int32_t{});
    default: return read(int64_t{});
  }
}

}  // namespace neurona
