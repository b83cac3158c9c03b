#include "cuda/convert.h"

#include "core/errors.h"
#include "cuda/device.h"

namespace neurona {
namespace {

template <typename Integer>
struct alignas(4 * sizeof(Integer)) Four {
  Integer x, y, z, w;
};

// Four at a time where both arrays begin at a multiple of four elements, so that bytes are not read
// one by one.
template <typename Integer>
__global__ void to_float32_kernel(const Integer* x, float* y, int64_t count, bool in_fours) {
  wait_for_earlier_kernels();
  const int64_t fours = in_fours ? count / 4 : 0;
  for (int64_t i = first_element(); i < fours; i += element_stride()) {
    const Four<Integer> v = reinterpret_cast<const Four<Integer>*>(x)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(static_cast<float>(v.x), static_cast<float>(v.y),
                                                  static_cast<float>(v.z), static_cast<float>(v.w));
  }
  for (int64_t i = 4 * fours + first_element(); i < count; i += element_stride())
    y[i] = static_cast<float>(x[i]);
}

template <typename Integer>
void convert(const void* x, float* y, int64_t count) {
  const bool in_fours = reinterpret_cast<uintptr_t>(x) % sizeof(Four<Integer>) == 0 &&
                        reinterpret_cast<uintptr_t>(y) % sizeof(float4) == 0;
  launch("to_float32", to_float32_kernel<Integer>, overlapping(over_elements(divide_up(count, 4))),
         static_cast<const Integer*>(x), y, count, in_fours);
}

}  // namespace

void to_float32(char kind, int64_t bytes, const void* x, float* y, int64_t count) {
  if (kind == 'i') {
    switch (bytes) {
      case 1: return convert<int8_t>(x, y, count);
      case 2: return convert<int16_t>(x, y, count);
      case 4: return convert<int32_t>(x, y, count);
      case 8: return convert<int64_t>(x, y, count);
    }
  } else if (kind == 'u' || (kind == 'b' && bytes == 1)) {
    switch (bytes) {
      case 1: return convert<uint8_t>(x, y, count);
      case 2: return convert<uint16_t>(x, y, count);
      case 4: return convert<uint32_t>(x, y, count);
      case 8: return convert<uint64_t>(x, y, count);
    }
  }
  fail_value("to_float32", "array must hold integers or booleans, got type ", kind, " of ", bytes,
             " bytes");
}

}  // namespace neurona
