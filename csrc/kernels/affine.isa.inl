// y[v, u] = the image at (x, y) = m (u, v, 1), mixed from the four pixels around it, with (u, v)
// and (x, y) measured from the image's centre; pixels outside are `fill`. y is overwritten.
#include "kernels/affine.h"

#include "kernels/gather.inl"
#include "kernels/partial.inl"

namespace neurona::NEURONA_ISA {
namespace {

// Within the image and two pixels around it, as a number of pixels from its first one; beyond that
// all four pixels are outside anyway. NaN, of an overflow, is outside too.
NEURONA_INLINE Vec bounded(Vec position, int64_t size) {
  const Vec low = broadcast(-2.0f), high = broadcast(static_cast<float>(size));
  position = select(position > low, position, low);
  return select(position < high, position, high);
}

NEURONA_INLINE Vec floor_of(Vec v, IntVec* whole) {
  const IntVec truncated = __builtin_convertvector(v, IntVec);
  const Vec back = __builtin_convertvector(truncated, Vec);
  *whole = truncated + (back > v);  // a true comparison is -1
  return __builtin_convertvector(*whole, Vec);
}

NEURONA_INLINE IntVec inside(IntVec position, int64_t size) {
  return (position >= 0) & (position < broadcast_int(static_cast<int32_t>(size)));
}

void sample_row(const float* image, int64_t height, int64_t width, const float* matrix, int64_t row,
                float fill_value, float* y) {
  float ramp[kLanes];
  for (int i = 0; i < kLanes; ++i) ramp[i] = static_cast<float>(i);
  const Vec lane = load(ramp), fill = broadcast(fill_value);
  const float centre_x = static_cast<float>(width - 1) / 2;
  const float centre_y = static_cast<float>(height - 1) / 2;
  const float v = static_cast<float>(row) - centre_y;
  const IntVec pitch = broadcast_int(static_cast<int32_t>(width));
  for (int64_t u = 0; u < width; u += kLanes) {
    const Vec across = lane + static_cast<float>(u) - centre_x;
    const Vec column = bounded(across * matrix[0] + v * matrix[1] + matrix[2] + centre_x, width);
    const Vec line = bounded(across * matrix[3] + v * matrix[4] + matrix[5] + centre_y, height);
    IntVec left, top;
    const Vec right_share = column - floor_of(column, &left);
    const Vec low_share = line - floor_of(line, &top);
    const IntVec in_left = inside(left, width), in_right = inside(left + 1, width);
    const IntVec in_top = inside(top, height), in_low = inside(top + 1, height);
    const IntVec corner = top * pitch + left;
    const Vec a = gather_where(in_top & in_left, image, corner, fill);
    const Vec b = gather_where(in_top & in_right, image, corner + 1, fill);
    const Vec c = gather_where(in_low & in_left, image, corner + pitch, fill);
    const Vec d = gather_where(in_low & in_right, image, corner + pitch + 1, fill);
    const Vec upper = a + right_share * (b - a), lower = c + right_share * (d - c);
    const int n = width - u < kLanes ? static_cast<int>(width - u) : kLanes;
    store_first(y + u, upper + low_share * (lower - upper), n);
  }
}

}  // namespace

AffineKernels affine_kernels() { return {sample_row}; }

}  // namespace neurona::NEURONA_ISA
