// Which algorithm runs a convolution: a function of the shape and the width of a vector alone,
// printable, overridable.
#pragma once

#include "core/conv2d_plan_rules.h"

namespace neurona {

// `variant` is null for the default, or a name. ValueError if there is no such name or it is not
// legal for this shape.
Conv2dPlan plan_conv2d(const char* op, const Conv2dShape& shape, Conv2dDirection direction,
                       const char* variant);

// Whether the default may be an algorithm that rounds more than a plain sum of products does; it
// may unless this was told otherwise. An algorithm asked for by name runs either way.
void set_fast_convolutions(bool fast);
bool fast_convolutions();

}  // namespace neurona
