// What the threads of a warp do together: shuffles and barriers.
#include <utility>

#include "execution/block.h"
#include "instructions/decoding.h"

namespace ptx_machine {
namespace {

enum class Way { kUp, kDown, kXor, kIndex };

// `clamp` holds the last lane of a segment in bits 0 to 4 and, in bits 8 to 12, which bits of a
// lane's number say in which segment it is.
template <Way kWay>
void shuffle(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<uint32_t>(instruction.operands[0]);
  const auto a = warp.lanes<uint32_t>(instruction.operands[2]);
  const auto by = warp.lanes<uint32_t>(instruction.operands[3]);
  const auto clamp = warp.lanes<uint32_t>(instruction.operands[4]);
  uint32_t before[kLanes];
  for_lanes(lanes, [&](int i) { before[i] = a[i]; });
  LaneMask inside = 0;
  for_lanes(lanes, [&](int i) {
    const uint32_t lane = static_cast<uint32_t>(i), offset = by[i] & 31,
                   segment = clamp[i] >> 8 & 31;
    const uint32_t last = (lane & segment) | (clamp[i] & 31 & ~segment);
    uint32_t from = kWay == Way::kUp     ? lane - offset
                    : kWay == Way::kDown ? lane + offset
                    : kWay == Way::kXor  ? lane ^ offset
                                         : (lane & segment) | (offset & ~segment);
    const bool is_inside =
        kWay == Way::kUp ? static_cast<int32_t>(from) >= static_cast<int32_t>(last) : from <= last;
    if (!is_inside) from = lane;
    if (!(lanes >> from & 1)) throw std::runtime_error("a shuffle from a thread that is not there");
    to[i] = before[from];
    inside |= LaneMask{is_inside} << i;
  });
  if (instruction.operands[1] == kNoOperand) return;
  LaneMask& predicate = warp.mask(instruction.operands[1]);
  predicate = (predicate & ~lanes) | inside;
}

void decode_shuffle(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  Argument to = statement.arguments.at(0);
  if (!to.second.empty()) {
    Argument second;
    second.name = std::exchange(to.second, {});
    instruction.operands[1] = assembler.predicate(second);
  }
  instruction.operands[0] = assembler.value(to, 4);
  for (size_t i = 1; i < 4; ++i)
    instruction.operands[i + 1] = assembler.value(statement.arguments.at(i), 4);
  instruction.members = assembler.value(statement.arguments.at(4), 4);
  instruction.flow = Flow::kTogether;
  if (has(parts, "bfly"))
    instruction.execute = shuffle<Way::kXor>;
  else if (has(parts, "down"))
    instruction.execute = shuffle<Way::kDown>;
  else if (has(parts, "up"))
    instruction.execute = shuffle<Way::kUp>;
  else if (has(parts, "idx"))
    instruction.execute = shuffle<Way::kIndex>;
  else
    throw std::runtime_error("no such shuffle");
}

void decode_barrier(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  if (has(parts, "warp")) {
    instruction.flow = Flow::kTogether;
    instruction.members = assembler.value(statement.arguments.at(0), 4);
    instruction.execute = [](Warp&, const Instruction&, LaneMask) {};
    return;
  }
  const bool is_block = has(parts, "sync") && statement.arguments.size() == 1 &&
                        statement.arguments[0].kind == Argument::Kind::kNumber &&
                        statement.arguments[0].number == 0;
  if (!is_block) throw std::runtime_error("no such barrier");
  instruction.flow = Flow::kBarrier;
}

}  // namespace

void add_warp_decoders(Decoders& decoders) {
  decoders["shfl"] = decode_shuffle;
  decoders["bar"] = decode_barrier;
}

}  // namespace ptx_machine
