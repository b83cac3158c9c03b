#include "ops/labels.h"

namespace neurona {

void read_labels(const char* op, const Labels& source, int64_t n, const Classes& classes,
                 int64_t* labels) {
  for (int64_t i = 0; classes.weight && i < classes.count; ++i)
    if (!(classes.weight[i] >= 0)) fail_class_weight(op, classes.weight[i], i);
  if (!source.data) return;
  with_label_type(source.bytes, source.is_signed, [&](auto type) {
    const auto* raw = static_cast<const decltype(type)*>(source.data);
    for (int64_t i = 0; i < n; ++i) {
      labels[i] = read_label(raw[i], classes.count, classes.ignore_index);
      if (labels[i] == kNoClass) fail_label(op, raw[i], classes.count, classes.ignore_index, i);
    }
  });
}

}  // namespace neurona
