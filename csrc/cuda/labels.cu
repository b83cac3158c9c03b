// Labels are turned into int64 and checked by one kernel, the weights of the classes by another;
// each notes the first position that is wrong. The host waits for both at once, because it must
// know before a loss is written.
#include "ops/labels.h"

#include "cuda/device.h"
#include "cuda/device_memory.h"

namespace neurona {
namespace {

using Position = unsigned long long;  // what atomicMin takes
constexpr Position kNone = ~Position{0};

struct FirstWrong {
  Position label, weight;
};

template <typename Label>
__global__ void read_labels_kernel(const Label* raw, int64_t n, Classes classes, int64_t* labels,
                                   FirstWrong* first) {
  for (int64_t i = first_element(); i < n; i += element_stride()) {
    labels[i] = read_label(raw[i], classes.count, classes.ignore_index);
    if (labels[i] == kNoClass) atomicMin(&first->label, static_cast<Position>(i));
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

  const FirstWrong wrong = read_back(first);
  if (wrong.weight != kNone)
    fail_class_weight(op, read_back(classes.weight + wrong.weight),
                      static_cast<int64_t>(wrong.weight));
  if (wrong.label == kNone) return;
  with_label_type(source.bytes, source.is_signed, [&](auto type) {
    fail_label(op, read_back(static_cast<const decltype(type)*>(source.data) + wrong.label),
               classes.count, classes.ignore_index, static_cast<int64_t>(wrong.label));
  });
}

}  // namespace neurona
