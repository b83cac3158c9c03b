// Arithmetic of floats whose words name that of integers as well.
#pragma once

#include "instructions/decoding.h"

namespace ptx_machine {

Execute add_floats(const Parts& parts);
Execute subtract_floats(const Parts& parts);
Execute multiply_floats(const Parts& parts);
Execute divide_floats(const Parts& parts);
Execute smaller_float(const Parts& parts);
Execute larger_float(const Parts& parts);
Execute negate_float(const Parts& parts);
Execute absolute_float(const Parts& parts);

}  // namespace ptx_machine
