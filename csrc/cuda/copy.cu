// to[i] = from[i] for arrays of one shape and any strides. Elements are numbered as they lie in
// `to`, so that neighbouring threads write neighbours; axes that both arrays walk evenly are
// merged, and a thread finds its element's place by dividing its number by the extents. Transposed
// matrices go through tiles in shared memory instead.
#include "cuda/copy.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "core/errors.h"
#include "cuda/axes.h"
#include "ops/reorder.h"

namespace neurona {
namespace {

template <typename Item>
__global__ void copy_kernel(Axes<2> axes, int64_t count, const Item* from, Item* to) {
  wait_for_earlier_kernels();
  for (int64_t i = first_element(); i < count; i += element_stride()) {
    const Offsets<2> place = offsets_of(axes, i);
    to[place.of[1]] = from[place.of[0]];
  }
}

// Strides in items, those of `from` first; the innermost axis of `to` comes first.
Axes<2> merged_axes(const StridedCopy& copy) {
  std::vector<size_t> order(copy.shape.size());
  std::iota(order.rbegin(), order.rend(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::abs(copy.to_strides[a]) < std::abs(copy.to_strides[b]);
  });
  Axes<2> axes{};
  for (size_t axis : order)
    axes.add("copy", copy.shape[axis],
             {copy.from_strides[axis] / copy.item_bytes, copy.to_strides[axis] / copy.item_bytes});
  return axes;
}

// Whether `to` is one or more matrices in rows and `from` the same in columns, both without gaps.
bool is_transposition(const Axes<2>& axes) {
  if (axes.count < 2 || axes.count > 3) return false;
  const int64_t rows = axes.extent[0], columns = axes.extent[1];
  const auto is = [&](int axis, int64_t from, int64_t to) {
    return axes.stride[axis][0] == from && axes.stride[axis][1] == to;
  };
  return is(0, columns, 1) && is(1, 1, rows) &&
         (axes.count == 2 || is(2, rows * columns, rows * columns));
}

// Counts in fours, eights or sixteens of items what lies so in both arrays, and says in how many.
int64_t widen(Axes<2>& axes, int64_t item_bytes, const void* from, const void* to) {
  const int64_t together = static_cast<int64_t>(sizeof(float4)) / item_bytes;
  const auto places = reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to);
  if (axes.count == 0 || axes.stride[0][0] != 1 || axes.stride[0][1] != 1 ||
      axes.extent[0] % together != 0 || places % sizeof(float4) != 0)
    return 1;
  for (int axis = 1; axis < axes.count; ++axis)
    for (int64_t stride : axes.stride[axis])
      if (stride % together != 0) return 1;
  axes.extent[0] /= together;
  for (int axis = 1; axis < axes.count; ++axis)
    for (int64_t& stride : axes.stride[axis]) stride /= together;
  return together;
}

template <typename Item>
void copy_items(const Axes<2>& axes, int64_t count, const void* from, void* to) {
  launch("copy", copy_kernel<Item>, overlapping(over_elements(count)), axes, count,
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
  Axes<2> axes = merged_axes(copy);
  if (copy.item_bytes == sizeof(float) && is_transposition(axes))
    return reorder_images(static_cast<const float*>(from), axes.count == 3 ? axes.extent[2] : 1,
                          axes.extent[0], axes.extent[1], static_cast<float*>(to));
  if (const int64_t together = widen(axes, copy.item_bytes, from, to); together > 1)
    return copy_items<float4>(axes, count / together, from, to);
  switch (copy.item_bytes) {
    case 1: return copy_items<uint8_t>(axes, count, from, to);
    case 2: return copy_items<uint16_t>(axes, count, from, to);
    case 4: return copy_items<uint32_t>(axes, count, from, to);
    default: return copy_items<uint64_t>(axes, count, from, to);
  }
}

}  // namespace neurona
