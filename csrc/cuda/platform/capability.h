// What the device is, where kernels depend on it.
#pragma once

namespace neurona {

// Major and minor number as one: 80, 90, 120. The device is asked once.
int device_capability();

int multiprocessors();

}  // namespace neurona
