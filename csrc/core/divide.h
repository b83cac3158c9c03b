// Integer division, rounded up.
#pragma once

#include <cstdint>

namespace neurona {

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace neurona
