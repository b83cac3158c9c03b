// Memory and copies, as the CUDA runtime has them.
#include <cuda_runtime_api.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/answer.h"
#include "runtime/captures.h"
#include "runtime/memory.h"
#include "runtime/streams.h"

using namespace ptx_machine;

namespace {

uintptr_t address_of(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

void allocate(void** memory_out, size_t bytes, Kind kind) {
  require(memory_out);
  refuse_unsafe_call();
  *memory_out = nullptr;
  if (bytes == 0) return;
  *memory_out = memory().allocate(bytes, kind);
  if (!*memory_out) throw Refusal(cudaErrorMemoryAllocation);
}

// Null is nothing to free. What may still use the memory is done before.
void release(void* begin, Kind kind) {
  if (!begin) return;
  refuse_unsafe_call();
  run_device();
  try {
    if (memory().free(begin, kind)) return;
  } catch (const std::runtime_error& written) {
    throw Fault(written.what());
  }
  throw Refusal(cudaErrorInvalidValue, "not the beginning of memory of this kind");
}

// What lies where the bytes begin; they must not go beyond it. kNone is memory of the host that the
// device does not know.
Kind kind_of(const void* pointer, size_t bytes) {
  const uintptr_t begin = address_of(pointer);
  const Range range = memory().range_of(begin);
  if (range.holds(begin, bytes) && range.kind != Kind::kNone) return range.kind;
  if (memory().touches_any(begin, bytes))
    throw Refusal(cudaErrorInvalidValue, "copies beyond the end of memory that was allocated");
  return Kind::kNone;
}

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
  Kind to_kind, from_kind;
};

void check_direction(const Copy& copy, cudaMemcpyKind direction) {
  const bool to_device = copy.to_kind == Kind::kDevice, of_device = copy.from_kind == Kind::kDevice;
  bool fits = false;
  switch (direction) {
    case cudaMemcpyHostToHost: fits = !to_device && !of_device; break;
    case cudaMemcpyHostToDevice: fits = to_device && !of_device; break;
    case cudaMemcpyDeviceToHost: fits = !to_device && of_device; break;
    case cudaMemcpyDeviceToDevice: fits = to_device && of_device; break;
    case cudaMemcpyDefault: fits = true; break;
    default: throw Refusal(cudaErrorInvalidMemcpyDirection);
  }
  if (!fits) throw Refusal(cudaErrorInvalidValue, "a side does not lie where the direction says");
}

// A graph may be launched when its memory is gone.
void check_still_there(const void* pointer, size_t bytes, Kind kind) {
  const Range range = memory().range_of(address_of(pointer));
  if (kind != Kind::kNone && (range.kind != kind || !range.holds(address_of(pointer), bytes)))
    throw Fault("a copy's memory has been freed");
}

void run_copy(const Copy& copy) {
  check_still_there(copy.to, copy.bytes, copy.to_kind);
  check_still_there(copy.from, copy.bytes, copy.from_kind);
  std::memmove(copy.to, copy.from, copy.bytes);
}

// Memory that the device does not know is read now: it may be gone, or other, when the copy is
// done. For the same reason a copy into such memory is done before the call returns.
void enqueue_copy(const std::shared_ptr<Stream>& stream, const Copy& copy) {
  const bool reads_host = copy.from_kind == Kind::kNone, writes_host = copy.to_kind == Kind::kNone;
  if (stream->capture && (reads_host || writes_host))
    spoil_capture(*stream->capture, cudaErrorStreamCaptureUnsupported,
                  "a copy of memory that is not pinned cannot be captured");
  if (reads_host) {
    const auto* first = static_cast<const unsigned char*>(copy.from);
    enqueue(stream, [copy, bytes = std::vector<unsigned char>(first, first + copy.bytes)] {
      check_still_there(copy.to, copy.bytes, copy.to_kind);
      std::memcpy(copy.to, bytes.data(), copy.bytes);
    });
  } else {
    enqueue(stream, [copy] { run_copy(copy); });
  }
  if (writes_host) run_all(*stream);
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return answer("cudaMalloc", [&] { allocate(pointer, bytes, Kind::kDevice); });
}

cudaError_t cudaFree(void* pointer) {
  return answer("cudaFree", [&] { release(pointer, Kind::kDevice); });
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return answer("cudaMallocHost", [&] { allocate(pointer, bytes, Kind::kPinned); });
}

// Flags make no difference: with one address space all pinned memory is portable and mapped.
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return answer("cudaHostAlloc", [&] {
    constexpr unsigned kKnown =
        cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
    if (flags & ~kKnown) throw Refusal(cudaErrorInvalidValue);
    allocate(pointer, bytes, Kind::kPinned);
  });
}

cudaError_t cudaFreeHost(void* pointer) {
  return answer("cudaFreeHost", [&] { release(pointer, Kind::kPinned); });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind direction,
                            cudaStream_t stream) {
  return answer("cudaMemcpyAsync", [&] {
    const auto on = stream_of(stream);
    if (bytes == 0) return;
    const Copy copy{to, from, bytes, kind_of(to, bytes), kind_of(from, bytes)};
    check_direction(copy, direction);
    enqueue_copy(on, copy);
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return answer("cudaMemsetAsync", [&] {
    const auto on = stream_of(stream);
    if (bytes == 0) return;
    const Kind kind = kind_of(to, bytes);
    if (kind == Kind::kNone) throw Refusal(cudaErrorInvalidValue, "not memory of the device");
    enqueue(on, [=] {
      check_still_there(to, bytes, kind);
      std::memset(to, value, bytes);
    });
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return answer("cudaPointerGetAttributes", [&] {
    require(attributes);
    const Kind kind = memory().range_of(address_of(pointer)).kind;
    void* const known = const_cast<void*>(pointer);
    *attributes = {};
    attributes->type = kind == Kind::kDevice   ? cudaMemoryTypeDevice
                       : kind == Kind::kPinned ? cudaMemoryTypeHost
                                               : cudaMemoryTypeUnregistered;
    attributes->device = kind == Kind::kNone ? cudaInvalidDeviceId : 0;
    attributes->devicePointer = kind == Kind::kNone ? nullptr : known;
    attributes->hostPointer = kind == Kind::kDevice ? nullptr : known;
  });
}

}  // extern "C"
