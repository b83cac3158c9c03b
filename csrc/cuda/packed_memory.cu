#include "cuda/packed_memory.h"

#include <map>
#include <mutex>

namespace neurona {
namespace {

struct Kept {
  std::mutex mutex;
  bool again = false;
  std::map<PackedOrigin, std::shared_ptr<Workspace>> operands;
};

// Never destroyed: the device may be gone when the process ends.
Kept& kept() {
  static auto* instance = new Kept;
  return *instance;
}

}  // namespace

PackedMemory packed_memory(const PackedOrigin& origin, size_t bytes) {
  const std::lock_guard<std::mutex> lock(kept().mutex);
  if (!kept().again) return {std::make_shared<Workspace>(bytes), false};
  std::shared_ptr<Workspace>& memory = kept().operands[origin];
  const bool is_packed = memory != nullptr;
  if (!is_packed) memory = std::make_shared<Workspace>(bytes);
  return {memory, is_packed};
}

void use_packed_again(bool again) {
  const std::lock_guard<std::mutex> lock(kept().mutex);
  kept().again = again;
}

size_t forget_packed() {
  const std::lock_guard<std::mutex> lock(kept().mutex);
  const size_t count = kept().operands.size();
  kept().operands.clear();
  return count;
}

}  // namespace neurona
