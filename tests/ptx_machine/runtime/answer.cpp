#include "runtime/answer.h"

#include <array>
#include <cstdio>
#include <mutex>
#include <new>
#include <utility>

#include "runtime/streams.h"

namespace ptx_machine {
namespace {

std::mutex& runtime_mutex() {
  static auto* instance = new std::mutex;  // calls may come while the process ends
  return *instance;
}

// Of the calling thread; cudaGetLastError forgets it.
thread_local cudaError_t last_error = cudaSuccess;

// What a Fault leaves behind, for good.
cudaError_t lasting_error = cudaSuccess;

cudaError_t note(cudaError_t code) {
  if (code != cudaSuccess) last_error = code;
  return code;
}

void report(const char* call, const char* reason) {
  std::fprintf(stderr, "PTX machine: %s: %s\n", call, reason);
}

cudaError_t outcome_of(const char* call, const std::function<void()>& body) {
  try {
    body();
    return cudaSuccess;
  } catch (const Refusal& refusal) {
    if (*refusal.what()) report(call, refusal.what());
    return refusal.code();
  } catch (const Fault& fault) {
    report(call, fault.what());
    drop_all_work();
    return lasting_error = cudaErrorIllegalAddress;
  } catch (const std::bad_alloc&) {
    return cudaErrorMemoryAllocation;
  } catch (const std::exception& unexpected) {
    report(call, unexpected.what());
    return cudaErrorUnknown;
  }
}

struct Described {
  cudaError_t code;
  const char *name, *text;
};

// The words of NVIDIA's runtime, of those errors that this one returns.
#define NEURONA_ERROR(code, text) \
  Described { code, #code, text }
constexpr std::array kErrors{
    NEURONA_ERROR(cudaSuccess, "no error"),
    NEURONA_ERROR(cudaErrorInvalidValue, "invalid argument"),
    NEURONA_ERROR(cudaErrorMemoryAllocation, "out of memory"),
    NEURONA_ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    NEURONA_ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    NEURONA_ERROR(cudaErrorInvalidDeviceFunction, "invalid device function"),
    NEURONA_ERROR(cudaErrorInvalidDevice, "invalid device ordinal"),
    NEURONA_ERROR(cudaErrorNoKernelImageForDevice,
                  "no kernel image is available for execution on the device"),
    NEURONA_ERROR(cudaErrorInvalidPtx, "a PTX JIT compilation failed"),
    NEURONA_ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    NEURONA_ERROR(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    NEURONA_ERROR(cudaErrorNotReady, "device not ready"),
    NEURONA_ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    NEURONA_ERROR(cudaErrorNotSupported, "operation not supported"),
    NEURONA_ERROR(cudaErrorStreamCaptureUnsupported,
                  "operation not permitted when stream is capturing"),
    NEURONA_ERROR(cudaErrorStreamCaptureInvalidated,
                  "operation failed due to a previous error during capture"),
    NEURONA_ERROR(cudaErrorStreamCaptureIsolation,
                  "dependency created on uncaptured work in another stream"),
    NEURONA_ERROR(cudaErrorStreamCaptureImplicit,
                  "operation would make the legacy stream depend on a capturing blocking stream"),
    NEURONA_ERROR(cudaErrorCapturedEvent,
                  "operation not permitted on an event last recorded in a capturing stream"),
    NEURONA_ERROR(cudaErrorStreamCaptureWrongThread,
                  "attempt to terminate a thread-local capture sequence from another thread"),
    NEURONA_ERROR(cudaErrorInvalidClusterSize,
                  "a kernel launch error has occurred due to cluster misconfiguration"),
    NEURONA_ERROR(cudaErrorUnknown, "unknown error"),
};
#undef NEURONA_ERROR

const Described* described(cudaError_t code) {
  for (const Described& error : kErrors)
    if (error.code == code) return &error;
  return nullptr;
}

}  // namespace

cudaError_t answer(const char* call, const std::function<void()>& body) {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  return note(lasting_error != cudaSuccess ? lasting_error : outcome_of(call, body));
}

cudaError_t answer_about_device(const char* call, const std::function<void()>& body) {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  return note(outcome_of(call, body));
}

void require(const void* pointer) {
  if (!pointer) throw Refusal(cudaErrorInvalidValue);
}

}  // namespace ptx_machine

using namespace ptx_machine;

extern "C" {

cudaError_t cudaGetLastError() {
  const std::lock_guard<std::mutex> lock(runtime_mutex());
  const cudaError_t noted = std::exchange(last_error, cudaSuccess);
  return lasting_error != cudaSuccess ? lasting_error : noted;
}

const char* cudaGetErrorString(cudaError_t error) {
  const Described* known = described(error);
  return known ? known->text : "unrecognized error code";
}

const char* cudaGetErrorName(cudaError_t error) {
  const Described* known = described(error);
  return known ? known->name : "unrecognized error code";
}

}  // extern "C"
