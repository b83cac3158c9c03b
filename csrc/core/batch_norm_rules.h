// The rules for the numbers that batch normalisation is given, checked on the host.
#pragma once

#include <cstdint>

namespace neurona {

// ValueError unless 0 <= momentum <= 1 and 0 < eps.
void check_batch_norm(const char* op, double momentum, double eps);

// ValueError unless all variances, which lie on the host, are >= 0.
void check_variances(const char* op, const float* variance, int64_t channels);

}  // namespace neurona
