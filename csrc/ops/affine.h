// Affine maps of images, sampled bilinearly: each image (channels, height, width) has a matrix of
// its own, and displacements (2, height, width) unless they are null. Formula:
// kernels/affine.isa.inl. y is overwritten.
#pragma once

#include <cstdint>

namespace neurona {

bool all_finite(const float* values, int64_t count);
void affine_sample(int64_t images, int64_t channels, int64_t height, int64_t width, const float* x,
                   const float* matrices, float fill, const float* displacements, float* y);

}  // namespace neurona
