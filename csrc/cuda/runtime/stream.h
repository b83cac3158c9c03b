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

}  // namespace neurona
