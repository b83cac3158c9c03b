// to[i] = from[i] for arrays of one shape and any strides. Axes that both arrays walk evenly are
// merged first; a thread then finds its element's place by dividing its number by the extents.
#include "cuda/copy.h"

#include <algorithm>

#include "core/errors.h"
#include "cuda/axes.h"

namespace neurona {
namespace {

template <typename Item>
__global__ void copy_kernel(Axes<2> axes, int64_t count, const Item* from, Item* to) {
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Offsets<2> place = offsets_of(axes, i);
    to[place.of[1]] = from[place.of[0]];
  }
}

// Strides in items, those of `from` first.
Axes<2> merged_axes(const StridedCopy& copy) {
  Axes<2> axes{};
  for (size_t axis = copy.shape.size(); axis-- > 0;)
    axes.add("copy", copy.shape[axis],
             {copy.from_strides[axis] / copy.item_bytes, copy.to_strides[axis] / copy.item_bytes});
  return axes;
}

template <typename Item>
void copy_items(const StridedCopy& copy, int64_t count, const void* from, void* to) {
  launch("copy", copy_kernel<Item>, over_elements(count), merged_axes(copy), count,
         static_cast<const Item*>(from), static_cast<Item*>(to));
}

}  // namespace

void copy_strided(const StridedCopy& copy, const void* from, void* to) {
  int64_t count = 1;
  for (int64_t extent : copy.shape) count *= extent;
  if (count == 0) return;
  const auto splits_item = [&](int64_t stride) { return stride % copy.item_bytes != 0; };
  if (std::any_of(copy.from_strides.begin(), copy.from_strides.end(), splits_item) ||
      std::any_of(copy.to_strides.begin(), copy.to_strides.end(), splits_item))
    fail_value("copy", "strides must be multiples of the item's ", copy.item_bytes, " bytes");
  switch (copy.item_bytes) {
    case 1: return copy_items<uint8_t>(copy, count, from, to);
    case 2: return copy_items<uint16_t>(copy, count, from, to);
    case 4: return copy_items<uint32_t>(copy, count, from, to);
    default: return copy_items<uint64_t>(copy, count, from, to);
  }
}

}  // namespace neurona
