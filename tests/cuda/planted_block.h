// What the planted kernels of all files share (see planted.cu).
#pragma once

namespace neurona {

constexpr int kThreads = 64;  // of the one block

}  // namespace neurona
