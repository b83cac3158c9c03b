// The GPU that this process uses: the first that CUDA_VISIBLE_DEVICES leaves.
#pragma once

#include <string>

namespace neurona {

// 0 without a driver.
int device_count();

// In the driver's words, why there is none; nothing if there is one.
std::string device_problem();

// std::runtime_error without a device.
std::string device_name();

}  // namespace neurona
