// Kernels for sm_90a that are wrong on purpose (planted_hopper.cu).
#pragma once

#include <string>
#include <vector>

namespace neurona {

// "none" and the faults.
std::vector<std::string> hopper_faults();

// The product of a (64, depth) and b (128, depth) with a fault, as 64 rows of 128.
std::vector<float> run_hopper(const std::string& fault, const std::vector<float>& a,
                              const std::vector<float>& b);

}  // namespace neurona
