// The one place that chooses the ISA: the best that this processor has, or what NEURONA_ISA names.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernel_table.h"

namespace neurona {

const KernelTable& kernels();  // the table in use
std::string selected_isa();
std::vector<std::string>
available_isas();  // those that were built and that this processor supports, weakest first
void select_isa(
    const std::string& name);  // std::runtime_error if it is not available; for tests and lessons

}  // namespace neurona
