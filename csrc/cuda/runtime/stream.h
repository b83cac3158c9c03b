// On which stream a thread's work goes.
#pragma once

#include <cuda_runtime.h>

namespace neurona {

// Until the next call, compute_stream() is `stream` for this thread; null for that of the process.
void capture_on(cudaStream_t stream);

}  // namespace neurona
