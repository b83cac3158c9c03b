// Checks that the options of all optimizers share.
#pragma once

#include <cmath>

#include "core/errors.h"

namespace neurona {

inline void check_not_negative(const char* op, const char* name, double value) {
  if (!(value >= 0 && std::isfinite(value)))
    fail_value(op, name, " must be finite and >= 0, got ", value);
}

inline void check_beta(const char* op, const char* name, double value) {
  if (!(value >= 0 && value < 1)) fail_value(op, name, " must be in [0, 1), got ", value);
}

}  // namespace neurona
