#include "cuda/common/labels.cuh"

#include <cstring>

namespace neurona {
namespace {

__global__ void check_weights_kernel(Classes classes, Position* wrong) {
  wait_for_earlier_kernels();
  for (int64_t i = first_element(); i < classes.count; i += element_stride())
    if (!(classes.weight[i] >= 0)) note_wrong(wrong, i);
}

template <typename T>
T value_of(const void* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

LabelChecks::LabelChecks(const char* op, const Labels& source, const Classes& classes)
    : source_(source), classes_(classes) {
  if (classes.weight) {
    weight_.emplace(values_of(classes.weight), [op](int64_t at, const void* weight) {
      fail_class_weight(op, value_of<float>(weight), at);
    });
    launch("check_weights", check_weights_kernel, overlapping(over_elements(classes.count)),
           classes, weight_->get());
  }
  if (source.data)
    label_.emplace(CheckedValues{static_cast<const unsigned char*>(source.data),
                                 static_cast<size_t>(source.bytes)},
                   [op, source, classes](int64_t at, const void* label) {
                     with_label_type(source.bytes, source.is_signed, [&](auto type) {
                       fail_label(op, value_of<decltype(type)>(label), classes.count,
                                  classes.ignore_index, at);
                     });
                   });
}

void LabelChecks::check() const {
  if (weight_) weight_->check();
  if (label_) label_->check();
}

}  // namespace neurona
