#include "ops/linear.h"

namespace neurona {

void linear_backward(const LinearShape& shape, const float* dy, const float* x, const float* weight,
                     bool rectified, const LinearGradients& to) {
  linear_backward_in_turn(shape, dy, x, weight, rectified, to);
}

}  // namespace neurona
