// Class labels of any integer type, and the weights of the classes.
#pragma once

#include <cstdint>

#include "core/label_rules.h"

namespace neurona {

// One integer of `bytes` bytes per row; no rows when data is null.
struct Labels {
  const void* data;
  int bytes;
  bool is_signed;
};

struct Classes {
  int64_t count;
  const float* weight;  // of each class, or null
  int64_t ignore_index;
};

// The n labels as 0 .. classes.count - 1, or kIgnoredLabel for those that equal ignore_index.
// ValueError for a weight that is not >= 0, else for any other label, naming its position.
void read_labels(const char* op, const Labels& source, int64_t n, const Classes& classes,
                 int64_t* labels);

}  // namespace neurona
