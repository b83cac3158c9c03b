// cp.async, mbarrier and the copy engine's loads.
#include <cstring>

#include "execution/cluster.h"
#include "execution/counters.h"
#include "instructions/decoding.h"
#include "instructions/tile_load.h"

namespace ptx_machine {
namespace {

const Argument& address_argument(const Statement& statement, size_t i) {
  const Argument& argument = statement.arguments.at(i);
  if (argument.kind != Argument::Kind::kAddress || argument.number != 0)
    throw std::runtime_error("expected an address in a register");
  return argument;
}

// A register that holds an address: of 4 bytes for shared memory, of 8 for the device's.
Operand address_register(Assembler& assembler, const Statement& statement, size_t i, size_t bytes) {
  Argument base;
  base.name = address_argument(statement, i).name;
  return assembler.value(base, bytes);
}

void note_copies(Warp& warp, const Lanes<uint32_t>& to, const Lanes<uint64_t>& from, LaneMask lanes,
                 size_t bytes) {
  if (!warp.counters) return;
  uint64_t addresses[kLanes] = {};
  for_lanes(lanes, [&](int lane) { addresses[lane] = to[lane]; });
  warp.counters->note_shared({addresses, lanes, bytes});
  for_lanes(lanes, [&](int lane) { addresses[lane] = from[lane]; });
  warp.counters->note_global_load({addresses, lanes, bytes});
}

// [to], [from], bytes, read bytes. The bytes arrive when the thread waits for them, as late as can
// be; those that are not read are zeros.
void copy_later(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto bytes = static_cast<size_t>(instruction.immediate);
  const auto to = warp.lanes<uint32_t>(instruction.operands[0]);
  const auto from = warp.lanes<uint64_t>(instruction.operands[1]);
  const auto read = warp.lanes<uint32_t>(instruction.operands[2]);
  note_copies(warp, to, from, lanes, bytes);
  for_lanes(lanes, [&](int lane) {
    if (read[lane] > bytes) throw std::runtime_error("cp.async: reads more than it copies");
    if (from[lane] % bytes != 0) throw std::runtime_error("cp.async: misaligned source");
    // What is not read may lie outside of the device's memory.
    if (read[lane] > 0) {
      warp.device_memory(lane, from[lane], 1);
      warp.device_memory(lane, from[lane] + read[lane] - 1, 1);
    }
    warp.copies.push_back({lane, warp.copy_group[lane], warp.block.shared(to[lane], bytes),
                           reinterpret_cast<const unsigned char*>(from[lane]), bytes, read[lane]});
  });
}

void make_copies(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  std::erase_if(warp.copies, [&](const PendingCopy& copy) {
    const bool arrives =
        lanes >> copy.lane & 1 && copy.group < warp.copy_group[copy.lane] - instruction.immediate;
    if (arrives) {
      std::memcpy(copy.to, copy.from, copy.read_bytes);
      std::memset(copy.to + copy.read_bytes, 0, copy.bytes - copy.read_bytes);
    }
    return arrives;
  });
}

void decode_copy(Assembler& assembler, const Statement& statement, const Parts& parts,
                 Instruction& instruction) {
  if (!has(parts, "async")) throw std::runtime_error("no such copy");
  if (parts.at(2) == "bulk") return decode_tile_load(assembler, statement, parts, instruction);
  if (parts[2] == "commit_group") {
    instruction.execute = [](Warp& warp, const Instruction&, LaneMask lanes) {
      for_lanes(lanes, [&](int lane) { ++warp.copy_group[lane]; });
    };
  } else if (parts[2] == "wait_group") {
    instruction.immediate = static_cast<int64_t>(statement.arguments.at(0).number);
    instruction.execute = make_copies;
  } else {
    instruction.operands[0] = address_register(assembler, statement, 0, 4);
    instruction.operands[1] = address_register(assembler, statement, 1, 8);
    instruction.immediate = static_cast<int64_t>(statement.arguments.at(2).number);
    instruction.operands[2] = assembler.value(statement.arguments.at(3), 4);
    const bool is_small = instruction.immediate == 4 || instruction.immediate == 8;
    const bool is_known = instruction.immediate == 16 || (has(parts, "ca") && is_small);
    if (!is_known) throw std::runtime_error("no such copy");
    instruction.execute = copy_later;
  }
}

void init_barrier(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for_lanes(lanes, [&](int lane) {
    warp.block.init_barrier(warp.lanes<uint32_t>(instruction.operands[0])[lane],
                            warp.lanes<uint32_t>(instruction.operands[1])[lane]);
  });
}

template <bool kInCluster>
void arrive(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for_lanes(lanes, [&](int lane) {
    const uint32_t bytes = instruction.operands[1] == kNoOperand
                               ? 0
                               : warp.lanes<uint32_t>(instruction.operands[1])[lane];
    const uint32_t barrier = warp.lanes<uint32_t>(instruction.operands[0])[lane];
    if (kInCluster)
      warp.block.cluster().arrive(warp.block, barrier, bytes);
    else
      warp.block.arrive(barrier, bytes);
  });
}

void try_wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  LaneMask ended = 0;
  for_lanes(lanes, [&](int lane) {
    const bool has_ended =
        warp.block.phase_has_ended(warp.lanes<uint32_t>(instruction.operands[1])[lane],
                                   warp.lanes<uint32_t>(instruction.operands[2])[lane]);
    ended |= LaneMask{has_ended} << lane;
  });
  LaneMask& to = warp.mask(instruction.operands[0]);
  to = (to & ~lanes) | ended;
  warp.gives_up_turn = ended != lanes;
}

// Orders and scopes say nothing here: threads of this machine see every store at once.
void decode_barrier(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  allow(parts, {"init", "arrive", "try_wait", "expect_tx", "parity", "acquire", "release", "cta",
                "cluster", "shared", "shared::cta", "shared::cluster"});
  const bool in_cluster = has(parts, "shared::cluster");
  if (in_cluster && parts[1] != "arrive")
    throw std::runtime_error("other blocks' barriers are only arrived at");
  if (parts.at(1) == "init") {
    instruction.operands[0] = address_register(assembler, statement, 0, 4);
    instruction.operands[1] = assembler.value(statement.arguments.at(1), 4);
    instruction.execute = init_barrier;
  } else if (parts[1] == "arrive") {
    const bool announces = has(parts, "expect_tx");
    if (statement.arguments.at(0).name != "_" || statement.arguments.size() != 2u + announces)
      throw std::runtime_error("no such arrival");
    instruction.operands[0] = address_register(assembler, statement, 1, 4);
    if (announces) instruction.operands[1] = assembler.value(statement.arguments[2], 4);
    instruction.execute = in_cluster ? arrive<true> : arrive<false>;
  } else if (parts[1] == "try_wait" && has(parts, "parity")) {
    instruction.operands[0] = assembler.predicate(statement.arguments.at(0));
    instruction.operands[1] = address_register(assembler, statement, 1, 4);
    instruction.operands[2] = assembler.value(statement.arguments.at(2), 4);
    instruction.flow = Flow::kTryWait;
    instruction.execute = try_wait;
  } else {
    throw std::runtime_error("no such barrier");
  }
}

}  // namespace

void add_async_decoders(Decoders& decoders) {
  decoders["cp"] = decode_copy;
  decoders["mbarrier"] = decode_barrier;
}

}  // namespace ptx_machine
