// Random numbers and dropout. Element i of a draw depends on the stream and i alone, so any number
// of threads gives the same.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/random.h"

namespace neurona {

void philox(const RandomStream& stream, int64_t count, uint32_t* out);
void random_uniform(const RandomStream& stream, int64_t count, double low, double high, float* out);
void random_normal(const RandomStream& stream, int64_t count, float mean, float std, float* out);
// A noted draw shares its stream with those who repeat it with another offset; a device that
// captures it reads the stream before each launch. Keeps element i when (word i >> 8) 2^-24 >= p,
// scaled by 1 / (1 - p); 0 <= p <= 1.
void dropout(const std::shared_ptr<const RandomStream>& stream, int64_t count, const float* x,
             double p, float* y);

}  // namespace neurona
