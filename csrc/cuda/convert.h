// Integers and booleans as float32, on the device: images travel there as bytes.
#pragma once

#include <cstdint>

namespace neurona {

// y[i] = x[i], rounded to nearest, even. `kind` and `bytes` are those of NumPy's dtype: 'i', 'u' or
// 'b' (whose bytes are 0 and 1), of 1, 2, 4 or 8 bytes. ValueError for another.
void to_float32(char kind, int64_t bytes, const void* x, float* y, int64_t count);

}  // namespace neurona
