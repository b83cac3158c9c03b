#include "core/broadcast_rules.h"

#include <algorithm>

#include "core/errors.h"

namespace neurona {

std::vector<int64_t> broadcast_shape(const char* op, const std::vector<int64_t>& a,
                                     const std::vector<int64_t>& b) {
  std::vector<int64_t> shape(std::max(a.size(), b.size()));
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t from_a = i < a.size() ? a[a.size() - 1 - i] : 1,
                  from_b = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (from_a != from_b && from_a != 1 && from_b != 1)
      fail_value(op, "a and b must have shapes that broadcast, got ",
                 shape_text(a.data(), static_cast<int64_t>(a.size())), " and ",
                 shape_text(b.data(), static_cast<int64_t>(b.size())));
    shape[shape.size() - 1 - i] = from_a == 1 ? from_b : from_a;
  }
  return shape;
}

}  // namespace neurona
