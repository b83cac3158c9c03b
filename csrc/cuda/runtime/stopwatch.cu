#include "cuda/runtime/stopwatch.h"

#include "cuda/device.h"
#include "cuda/runtime/check.h"

namespace neurona {
namespace {

constexpr const char* kWhat = "stopwatch of the CUDA device";

cudaEvent_t new_event() {
  compute_stream();  // says that there is no device, if so
  cudaEvent_t event;
  check_cuda(kWhat, cudaEventCreate(&event));
  return event;
}

}  // namespace

Stopwatch::Stopwatch() : begin_(new_event()), end_(new_event()) {}

Stopwatch::~Stopwatch() {
  cudaEventDestroy(static_cast<cudaEvent_t>(begin_));
  cudaEventDestroy(static_cast<cudaEvent_t>(end_));
}

void Stopwatch::start() {
  check_cuda(kWhat, cudaEventRecord(static_cast<cudaEvent_t>(begin_), compute_stream()));
}

float Stopwatch::stop() {
  check_cuda(kWhat, cudaEventRecord(static_cast<cudaEvent_t>(end_), compute_stream()));
  check_cuda(kWhat, cudaEventSynchronize(static_cast<cudaEvent_t>(end_)));
  float milliseconds = 0;
  check_cuda(kWhat, cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(begin_),
                                         static_cast<cudaEvent_t>(end_)));
  return milliseconds;
}

}  // namespace neurona
