// Where the arrays of an extension lie: in the host's memory (`_core`), or in a device's (`_cuda`).
// Each extension has its own implementation, host_memory.cpp or device_memory.cpp; all other
// bindings are the same source for both.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>

namespace neurona {

// Whether an array can lie in memory that the kernels of this extension cannot reach.
#if defined(NEURONA_DEVICE)
constexpr bool kHomesDiffer = true;
#else
constexpr bool kHomesDiffer = false;
#endif

// At least `bytes` bytes that are freed with the capsule; std::bad_alloc when there are no more.
pybind11::capsule new_memory(size_t bytes);

// to[i] = from[i] for arrays of the same shape and dtype (but for its byte order) and any strides.
void copy_elements(const pybind11::array& to, const pybind11::array& from);

// TypeError unless the elements lie where the kernels can reach them, or where this code can.
#if defined(NEURONA_DEVICE)
void check_home(const char* op, const char* argument, const pybind11::array& array);
void check_on_host(const char* op, const char* argument, const pybind11::array& array);
#else
inline void check_home(const char*, const char*, const pybind11::array&) {}
inline void check_on_host(const char*, const char*, const pybind11::array&) {}
#endif

}  // namespace neurona
