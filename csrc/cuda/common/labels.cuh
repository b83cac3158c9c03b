// Labels of any integer type as kernels read them, and how the host learns of those that are no
// class: it waits for the device, or in a captured step is told late.
#pragma once

#include <optional>

#include "cuda/common/late_check.cuh"
#include "ops/labels.h"

namespace neurona {

// The labels of rows, looked at whenever they are read. One that is no class is noted and counts as
// ignored, so that nobody reads beyond the classes.
struct CheckedLabels {
  Labels source;
  Classes classes;
  Position* wrong;

  __device__ explicit operator bool() const { return source.data; }

  // 0 .. classes.count - 1 or kIgnoredLabel.
  __device__ int64_t operator[](int64_t row) const {
    const int64_t label = read(row);
    if (label != kNoClass) return label;
    note_wrong(wrong, row);
    return kIgnoredLabel;
  }

 private:
  template <typename Label>
  __device__ int64_t read_as(int64_t row) const {
    return read_label(static_cast<const Label*>(source.data)[row], classes.count,
                      classes.ignore_index);
  }
  __device__ int64_t read(int64_t row) const {
    const bool is_signed = source.is_signed;
    switch (source.bytes) {
      case 1: return is_signed ? read_as<int8_t>(row) : read_as<uint8_t>(row);
      case 2: return is_signed ? read_as<int16_t>(row) : read_as<uint16_t>(row);
      case 4: return is_signed ? read_as<int32_t>(row) : read_as<uint32_t>(row);
      default: return is_signed ? read_as<int64_t>(row) : read_as<uint64_t>(row);
    }
  }
};

// The checks of labels, which a kernel reads, and of the weights of the classes, which are looked
// at here.
class LabelChecks {
 public:
  LabelChecks(const char* op, const Labels& source, const Classes& classes);

  CheckedLabels labels() const { return {source_, classes_, label_ ? label_->get() : nullptr}; }
  // ValueError for a wrong weight, else for a wrong label; late in a captured step.
  void check() const;

 private:
  Labels source_;
  Classes classes_;
  std::optional<FirstWrong> weight_, label_;
};

}  // namespace neurona
