// Labels as kernels read them, and how the host learns of those that are no class.
#pragma once

#include <optional>

#include "cuda/late_check.cuh"
#include "ops/labels.h"

namespace neurona {

// Label i as 0 .. classes - 1 or kIgnoredLabel. One that is no class is noted, and counts as
// ignored, so that nobody reads beyond the classes.
__device__ inline int64_t label_at(const Labels& source, const Classes& classes, int64_t i,
                                   Position* wrong) {
  const auto read = [&](auto type) {
    return read_label(static_cast<const decltype(type)*>(source.data)[i], classes.count,
                      classes.ignore_index);
  };
  const auto read_either = [&](auto as_signed, auto as_unsigned) {
    return source.is_signed ? read(as_signed) : read(as_unsigned);
  };
  const int64_t label = source.bytes == 1   ? read_either(int8_t{}, uint8_t{})
                        : source.bytes == 2 ? read_either(int16_t{}, uint16_t{})
                        : source.bytes == 4 ? read_either(int32_t{}, uint32_t{})
                                            : read_either(int64_t{}, uint64_t{});
  if (label != kNoClass) return label;
  note_wrong(wrong, i);
  return kIgnoredLabel;
}

// Of the weights, which are looked at here, and of labels, which a kernel reads by label_at().
class LabelChecks {
 public:
  LabelChecks(const char* op, const Labels& source, const Classes& classes);

  Position* wrong_label() const { return label_ ? label_->get() : nullptr; }
  // ValueError for a wrong weight, else for a wrong label; late in a captured step.
  void check() const;

 private:
  std::optional<FirstWrong> weight_, label_;
};

}  // namespace neurona
