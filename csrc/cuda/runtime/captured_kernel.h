// A kernel of a graph that may get other arguments.
#pragma once

#include <cuda_runtime.h>

namespace neurona {

struct CapturedKernel {
  cudaGraphExec_t executable;
  cudaGraphNode_t node;
};

// Until the next call, what this thread launches takes the place of this kernel; null to launch.
void renew_instead_of_launching(const CapturedKernel* kernel);

}  // namespace neurona
