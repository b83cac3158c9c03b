// Class labels of any integer type.
#pragma once

#include <cstdint>

namespace neurona {

constexpr int64_t kIgnoredLabel = -1;

// One integer of `bytes` bytes per row.
struct Labels {
  const void* data;
  int bytes;
  bool is_signed;
};

// The n labels as 0 .. classes - 1, or kIgnoredLabel for those that equal ignore_index. ValueError
// for any other, naming its position.
void read_labels(const char* op, const Labels& source, int64_t n, int64_t classes,
                 int64_t ignore_index, int64_t* labels);

}  // namespace neurona
