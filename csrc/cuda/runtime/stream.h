// On which stream a thread's work goes.
#pragma once

#include <cuda_runtime.h>

#include <shared_mutex>

namespace neurona {

// Shared by captures, taken alone by waits for the whole device: such a wait fails while any thread
// captures, and spoils the capture.
std::shared_mutex& captures();

// Until the next call, compute_stream() is `stream` for this thread; null for that of the process.
void capture_on(cudaStream_t stream);
cudaStream_t process_stream();

// Lets a thread that captures a step do what is no part of it: to allocate memory, or to wait for
// the process's stream. It is forbidden to others because the capture might come to depend on it.
class AllowedInCapture {
 public:
  AllowedInCapture() { exchange(); }
  ~AllowedInCapture() { exchange(); }
  AllowedInCapture(const AllowedInCapture&) = delete;
  AllowedInCapture& operator=(const AllowedInCapture&) = delete;

 private:
  void exchange() { cudaThreadExchangeStreamCaptureMode(&mode_); }

  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace neurona
