// The GPU that the machine says it is, as the environment has it.
#pragma once

#include <cstddef>

namespace ptx_machine {

constexpr const char* kDeviceName = "PTX machine";
constexpr unsigned kMostThreads = 1024;
constexpr size_t kSharedWithoutAsking = 48 * 1024;  // bytes of a block

// Ten times the version, from NEURONA_PTX_MACHINE_CAPABILITY: 90 by default.
int capability();

// From NEURONA_PTX_MACHINE_MULTIPROCESSORS: 132 by default.
int multiprocessors();

// From NEURONA_PTX_MACHINE_MEMORY: 2 GiB by default.
size_t device_memory_bytes();

// What a block may have of shared memory when its kernel asks for it.
size_t most_shared();

}  // namespace ptx_machine
