// Labels are turned into int64 and checked by one kernel, the weights of the classes by another.
// The host waits for them, because it must know before a loss is used; in a captured step they are
// late checks.
#include "cuda/labels.cuh"

#include <cstring>

namespace neurona {
namespace {

__global__ void read_labels_kernel(Labels source, Classes classes, int64_t n, int64_t* labels,
                                   Position* wrong) {
  for (int64_t i = first_element(); i < n; i += element_stride())
    labels[i] = label_at(source, classes, i, wrong);
}

__global__ void check_weights_kernel(Classes classes, Position* wrong) {
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

LabelChecks::LabelChecks(const char* op, const Labels& source, const Classes& classes) {
  if (classes.weight) {
    weight_.emplace(values_of(classes.weight), [op](int64_t at, const void* weight) {
      fail_class_weight(op, value_of<float>(weight), at);
    });
    launch("check_weights", check_weights_kernel, over_elements(classes.count), classes,
           weight_->get());
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

void read_labels(const char* op, const Labels& source, int64_t n, const Classes& classes,
                 int64_t* labels) {
  const LabelChecks checks(op, source, classes);
  if (source.data)
    launch("read_labels", read_labels_kernel, over_elements(n), source, classes, n, labels,
           checks.wrong_label());
  checks.check();
}

}  // namespace neurona
