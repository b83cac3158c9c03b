#include "cuda/emulation/capability.h"

#include <atomic>

#include "cuda/platform/capability.h"

namespace neurona::emulation {
namespace {

std::atomic<int> chosen{80};

}  // namespace

void set_capability(int capability) { chosen = capability; }

size_t most_shared_bytes() { return chosen / 10 == 9 ? kMostSharedBytesEver : 99 * 1024; }

}  // namespace neurona::emulation

namespace neurona {

int device_capability() { return emulation::chosen; }

// So few that blocks which stay and take one tile after the other get several.
int multiprocessors() { return 2; }

}  // namespace neurona
