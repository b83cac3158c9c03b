// mapa and barrier.cluster: how the blocks of a cluster reach each other and wait for one another.
#include "execution/cluster.h"
#include "instructions/decoding.h"

namespace ptx_machine {
namespace {

void map_address(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<uint32_t>(instruction.operands[0]);
  const auto address = warp.lanes<uint32_t>(instruction.operands[1]);
  const auto rank = warp.lanes<uint32_t>(instruction.operands[2]);
  for_lanes(lanes, [&](int i) { to[i] = warp.block.cluster().mapped(address[i], rank[i]); });
}

void decode_map(Assembler& assembler, const Statement& statement, const Parts& parts,
                Instruction& instruction) {
  allow(parts, {"shared::cluster"});
  if (!has(parts, "shared::cluster") || parts.back() != "u32")
    throw std::runtime_error("only addresses of 32 bits in shared memory are mapped");
  bind(assembler, statement, instruction, {4, 4, 4});
  instruction.execute = map_address;
}

// .aligned, which the immediate says: for the warp as a whole.
void require_whole(const Warp& warp, const Instruction& instruction, LaneMask lanes) {
  if (instruction.immediate && lanes != warp.live())
    throw std::runtime_error("some threads of a warp pass by the cluster's barrier");
}

void arrive(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  require_whole(warp, instruction, lanes);
  warp.block.cluster().arrive_at_barrier(warp, lanes);
}

void wait(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  require_whole(warp, instruction, lanes);
  warp.gives_up_turn = !warp.block.cluster().try_to_pass_barrier(warp, lanes);
}

void decode_barrier(Assembler&, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  const bool arrives = has(parts, "arrive");
  allow(parts, {"cluster", arrives ? "arrive" : "wait", arrives ? "release" : "acquire", "aligned"},
        0);
  if (parts.size() < 3 || parts[1] != "cluster" || parts[2] != (arrives ? "arrive" : "wait") ||
      !statement.arguments.empty())
    throw std::runtime_error("no such barrier");
  const bool is_aligned = has(parts, "aligned");
  instruction.immediate = is_aligned;
  if (is_aligned) instruction.flow = Flow::kTogether;
  instruction.execute = arrives ? arrive : wait;
}

}  // namespace

void add_cluster_decoders(Decoders& decoders) {
  decoders["mapa"] = decode_map;
  decoders["barrier"] = decode_barrier;
}

}  // namespace ptx_machine
