// What only the extension of a device offers.
#pragma once

#include <pybind11/pybind11.h>

namespace neurona {

// Of the capsules that own the memory of the device's arrays, by which these are known.
inline constexpr const char* kDeviceMemory = "neurona device memory";

void register_device_memory(pybind11::module_& m);
void register_borrowed(pybind11::module_& m);
void register_dlpack(pybind11::module_& m);
void register_precision(pybind11::module_& m);
#if defined(NEURONA_EMULATED)
void register_emulation(pybind11::module_& m);
#else
void register_cuda_device(pybind11::module_& m);
#endif

}  // namespace neurona
