// All routines that exist once per ISA, as tables of function pointers, one struct per family.
// A family is declared in <family>.h and implemented in <family>.isa.inl, which is compiled once
// for each ISA.
#pragma once

#include "kernels/activation.h"
#include "kernels/adaptive.h"
#include "kernels/affine.h"
#include "kernels/batch_norm.h"
#include "kernels/depthwise.h"
#include "kernels/distance.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/narrow.h"
#include "kernels/optim.h"
#include "kernels/pointwise_loss.h"
#include "kernels/pool2d.h"
#include "kernels/probe.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/resample.h"
#include "kernels/softmax.h"
#include "kernels/unpool.h"
#include "kernels/winograd.h"

// The families of the table: X(type, name). `name` is the member, and `<isa>::<name>_kernels()` the
// function that fills it.
#define NEURONA_FOR_EACH_FAMILY(X)        \
  X(ActivationKernels, activation)        \
  X(AdaptiveKernels, adaptive)            \
  X(AffineKernels, affine)                \
  X(BatchNormKernels, batch_norm)         \
  X(DepthwiseKernels, depthwise)          \
  X(DistanceKernels, distance)            \
  X(ElementwiseKernels, elementwise)      \
  X(GemmKernels, gemm)                    \
  X(NarrowKernels, narrow)                \
  X(OptimKernels, optim)                  \
  X(PointwiseLossKernels, pointwise_loss) \
  X(PoolKernels, pool2d)                  \
  X(ProbeKernels, probe)                  \
  X(RandomKernels, random)                \
  X(ReduceKernels, reduce)                \
  X(ResampleKernels, resample)            \
  X(SoftmaxKernels, softmax)              \
  X(UnpoolKernels, unpool)                \
  X(WinogradKernels, winograd)

namespace neurona {

struct KernelTable {
#define NEURONA_MEMBER(Type, name) Type name;
  NEURONA_FOR_EACH_FAMILY(NEURONA_MEMBER)
#undef NEURONA_MEMBER
};

}  // namespace neurona
