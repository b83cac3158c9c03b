// y[i] = f(a[i]) and y[i] = f(a[i], b[i]) on contiguous arrays.
//
// Four elements at a time where all arrays begin at a multiple of 16 bytes, which is what it takes
// to reach the memory's bandwidth; the last few, and views that begin elsewhere, one by one. The
// results are the same. y may be a or b.
#pragma once

#include "cuda/device.h"

namespace neurona {

template <typename Function>
__global__ void map_kernel(Function f, const float* a, float* y, int64_t count, bool in_fours) {
  wait_for_earlier_kernels();
  const int64_t fours = in_fours ? count / 4 : 0;
  for (int64_t i = first_element(); i < fours; i += element_stride()) {
    const float4 v = reinterpret_cast<const float4*>(a)[i];
    reinterpret_cast<float4*>(y)[i] = make_float4(f(v.x), f(v.y), f(v.z), f(v.w));
  }
  for (int64_t i = 4 * fours + first_element(); i < count; i += element_stride()) y[i] = f(a[i]);
}

template <typename Function>
__global__ void map_kernel(Function f, const float* a, const float* b, float* y, int64_t count,
                           bool in_fours) {
  wait_for_earlier_kernels();
  const int64_t fours = in_fours ? count / 4 : 0;
  for (int64_t i = first_element(); i < fours; i += element_stride()) {
    const float4 v = reinterpret_cast<const float4*>(a)[i],
                 w = reinterpret_cast<const float4*>(b)[i];
    reinterpret_cast<float4*>(y)[i] =
        make_float4(f(v.x, w.x), f(v.y, w.y), f(v.z, w.z), f(v.w, w.w));
  }
  for (int64_t i = 4 * fours + first_element(); i < count; i += element_stride())
    y[i] = f(a[i], b[i]);
}

inline bool in_fours(const void* a, const void* b, const void* y) {
  return (reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b) |
          reinterpret_cast<uintptr_t>(y)) %
             sizeof(float4) ==
         0;
}

template <typename Function>
void map(const char* name, const Function& f, const float* a, float* y, int64_t count) {
  void (*kernel)(Function, const float*, float*, int64_t, bool) = map_kernel<Function>;
  launch(name, kernel, overlapping(over_elements(divide_up(count, 4))), f, a, y, count,
         in_fours(a, a, y));
}

template <typename Function>
void map(const char* name, const Function& f, const float* a, const float* b, float* y,
         int64_t count) {
  void (*kernel)(Function, const float*, const float*, float*, int64_t, bool) =
      map_kernel<Function>;
  launch(name, kernel, overlapping(over_elements(divide_up(count, 4))), f, a, b, y, count,
         in_fours(a, b, y));
}

}  // namespace neurona
