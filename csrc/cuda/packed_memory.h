// Where packed operands lie: for the length of an op, or, for measurements of products alone, until
// they are forgotten.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "cuda/platform/device_memory.h"

namespace neurona {

// What was packed: the memory it was read from, and numbers that tell two layouts of it apart.
struct PackedOrigin {
  const void* source;
  std::array<int64_t, 4> layout;

  auto operator<=>(const PackedOrigin&) const = default;
};

struct PackedMemory {
  std::shared_ptr<Workspace> memory;
  bool is_packed;  // nothing is left to do
};

// Memory for an operand. While packed operands are used again, that of an earlier one of the same
// origin, if there is one: nobody looks whether its source has changed.
PackedMemory packed_memory(const PackedOrigin& origin, size_t bytes);

void use_packed_again(bool again);
// Frees what was kept, and says how many operands that were.
size_t forget_packed();

}  // namespace neurona
