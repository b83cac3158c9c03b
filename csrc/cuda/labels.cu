// Labels are turned into int64 and checked by one kernel, the weights of the classes by another;
// each notes the first position that is wrong. The host waits for them, because it must know
// before a loss is written; in a captured step they are late checks. A wrong label then counts
// as one that is ignored, so that nobody reads beyond the classes.
#include "ops/labels.h"

#include "cuda/late_check.cuh"

namespace neurona {
namespace {

struct FirstWrong {
  Position label, weight;
};

template <typename Label>
__global__ void read_labels_kernel(const Label* raw, int64_t n, Classes classes, int64_t* labels,
                                   FirstWrong* first) {
  for (int64_t i = first_element(); i < n; i += element_stride()) {
    const int64_t label = read_label(raw[i], classes.count, classes.ignore_index);
    labels[i] = label == kNoClass ? kIgnoredLabel : label;
    if (label == kNoClass) atomicMin(&first->label, static_cast<Position>(i));
  }
}

__global__ void check_weights_kernel(Classes classes, FirstWrong* first) {
  for (int64_t i = first_element(); i < classes.count; i += element_stride())
    if (!(classes.weight[i] >= 0)) atomicMin(&first->weight, static_cast<Position>(i));
}

}  // namespace

void read_labels(const char* op, const Labels& source, int64_t n, const Classes& classes,
                 int64_t* labels) {
  if (!source.data && !classes.weight) return;
  const Workspace found(sizeof(FirstWrong));
  auto* first = found.as<FirstWrong>();
  fill_on_device(first, 0xff, sizeof *first);
  if (classes.weight)
    launch("check_weights", check_weights_kernel, over_elements(classes.count), classes, first);
  if (source.data)
    with_label_type(source.bytes, source.is_signed, [&](auto type) {
      using Label = decltype(type);
      launch("read_labels", read_labels_kernel<Label>, over_elements(n),
             static_cast<const Label*>(source.data), n, classes, labels, first);
    });

  if (classes.weight)
    check_first(&first->weight, classes.weight,
                [op](int64_t at, float weight) { fail_class_weight(op, weight, at); });
  if (source.data)
    with_label_type(source.bytes, source.is_signed, [&](auto type) {
      using Label = decltype(type);
      check_first(&first->label, static_cast<const Label*>(source.data),
                  [op, count = classes.count, ignored = classes.ignore_index](
                      int64_t at, Label label) { fail_label(op, label, count, ignored, at); });
    });
}

}  // namespace neurona
