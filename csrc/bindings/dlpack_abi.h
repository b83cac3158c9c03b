// What DLPack fixes of how libraries lend each other arrays: the layout of three structures, and
// the numbers in them. https://dmlc.github.io/dlpack
#pragma once

#include <cstdint>

namespace neurona::dlpack {

constexpr int32_t kCuda = 2;  // of device_type

constexpr uint8_t kInt = 0, kUInt = 1, kFloat = 2, kBool = 6;  // of code

constexpr uint64_t kReadOnly = 1, kIsCopied = 2;  // of flags

struct Tensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;  // strides in elements; without them it is in C order
  uint64_t byte_offset;
};

// The lender's deleter may be absent, and may be called by any thread.
struct Managed {
  static constexpr const char *kName = "dltensor", *kUsed = "used_dltensor";

  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};

// Up to and with `flags` it stays the same whatever the version.
struct ManagedVersioned {
  static constexpr const char *kName = "dltensor_versioned", *kUsed = "used_dltensor_versioned";

  uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;
  Tensor tensor;
};

}  // namespace neurona::dlpack
