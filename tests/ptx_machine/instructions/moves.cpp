// mov, selp, cvta: values from place to place.
#include "execution/block.h"
#include "instructions/decoding.h"

namespace ptx_machine {
namespace {

struct Same {
  template <typename T>
  T operator()(T a) const {
    return a;
  }
};

void move_predicate(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask from = warp.mask(instruction.operands[1]);
  LaneMask& to = warp.mask(instruction.operands[0]);
  to = (to & ~lanes) | (from & lanes);
}

void parameter_address(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<uint64_t>(instruction.operands[0]);
  const uint64_t address = warp.block.argument_address(instruction.immediate);
  for_lanes(lanes, [&](int i) { to[i] = address; });
}

// mov.b64 {low, high}, a
template <typename Whole, typename Part>
void unpack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto a = warp.lanes<Whole>(instruction.operands[1]);
  for (size_t part = 0; part < instruction.list.size(); ++part) {
    if (instruction.list[part] == kNoOperand) continue;
    const auto to = warp.lanes<Part>(instruction.list[part]);
    for_lanes(lanes, [&](int i) { to[i] = static_cast<Part>(a[i] >> (8 * sizeof(Part) * part)); });
  }
}

// mov.b64 to, {low, high}
template <typename Whole, typename Part>
void pack(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<Whole>(instruction.operands[0]);
  for_lanes(lanes, [&](int i) {
    Whole whole = 0;
    for (size_t part = 0; part < instruction.list.size(); ++part)
      whole |= static_cast<Whole>(static_cast<Whole>(warp.lanes<Part>(instruction.list[part])[i])
                                  << (8 * sizeof(Part) * part));
    to[i] = whole;
  });
}

void decode_vector(Assembler& assembler, const Statement& statement, const Parts& parts,
                   Instruction& instruction, bool is_unpacked) {
  const Argument& vector = statement.arguments.at(is_unpacked ? 0 : 1);
  const size_t bytes = bytes_of_type(parts.back()), part = bytes / vector.items.size();
  instruction.list = assembler.values(vector, part);
  instruction.operands[is_unpacked ? 1 : 0] =
      assembler.value(statement.arguments.at(is_unpacked ? 1 : 0), bytes);
  if (bytes == 8 && part == 4)
    instruction.execute = is_unpacked ? unpack<uint64_t, uint32_t> : pack<uint64_t, uint32_t>;
  else if (bytes == 8 && part == 2)
    instruction.execute = is_unpacked ? unpack<uint64_t, uint16_t> : pack<uint64_t, uint16_t>;
  else if (bytes == 4 && part == 2)
    instruction.execute = is_unpacked ? unpack<uint32_t, uint16_t> : pack<uint32_t, uint16_t>;
  else
    throw std::runtime_error("no such vector");
}

Execute move_of(size_t bytes) {
  if (bytes == 8) return unary<uint64_t, uint64_t, Same>;
  if (bytes == 4) return unary<uint32_t, uint32_t, Same>;
  return unary<uint16_t, uint16_t, Same>;
}

void decode_move(Assembler& assembler, const Statement& statement, const Parts& parts,
                 Instruction& instruction) {
  const Argument &to = statement.arguments.at(0), &from = statement.arguments.at(1);
  if (to.kind == Argument::Kind::kList || from.kind == Argument::Kind::kList)
    return decode_vector(assembler, statement, parts, instruction,
                         to.kind == Argument::Kind::kList);
  if (parts.back() == "pred") {
    instruction.operands[0] = assembler.predicate(to);
    instruction.operands[1] = assembler.predicate(from);
    instruction.execute = move_predicate;
  } else if (from.kind == Argument::Kind::kName && assembler.is_kernel_parameter(from)) {
    instruction.operands[0] = assembler.value(to, 8);
    instruction.immediate = assembler.parameter_offset(from);
    instruction.execute = parameter_address;
  } else {
    const size_t bytes = bytes_of_type(parts.back());
    bind(assembler, statement, instruction, {bytes, bytes});
    instruction.execute = move_of(bytes);
  }
}

template <typename T>
void select(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<T>(instruction.operands[0]);
  const auto a = warp.lanes<T>(instruction.operands[1]);
  const auto b = warp.lanes<T>(instruction.operands[2]);
  const LaneMask takes_a = warp.mask(instruction.operands[3]);
  for_lanes(lanes, [&](int i) { to[i] = takes_a >> i & 1 ? a[i] : b[i]; });
}

void decode_select(Assembler& assembler, const Statement& statement, const Parts& parts,
                   Instruction& instruction) {
  const size_t bytes = bytes_of_type(parts.back());
  for (size_t i = 0; i < 3; ++i)
    instruction.operands[i] = assembler.value(statement.arguments.at(i), bytes);
  instruction.operands[3] = assembler.predicate(statement.arguments.at(3));
  instruction.execute = bytes == 8   ? select<uint64_t>
                        : bytes == 4 ? select<uint32_t>
                                     : select<uint16_t>;
}

// Global and parameters' addresses are generic ones already.
template <bool kToShared>
void convert_shared(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<uint64_t>(instruction.operands[0]);
  const auto a = warp.lanes<uint64_t>(instruction.operands[1]);
  for_lanes(lanes, [&](int i) {
    to[i] = kToShared ? warp.block.shared_of_generic(a[i]) : warp.block.generic_of_shared(a[i]);
  });
}

void decode_convert_address(Assembler& assembler, const Statement& statement, const Parts& parts,
                            Instruction& instruction) {
  if (parts.back() != "u64") throw std::runtime_error("addresses have 64 bits");
  const Argument& from = statement.arguments.at(1);
  if (from.kind == Argument::Kind::kName && assembler.is_kernel_parameter(from)) {
    instruction.operands[0] = assembler.value(statement.arguments.at(0), 8);
    instruction.immediate = assembler.parameter_offset(from);
    instruction.execute = parameter_address;
    return;
  }
  bind(assembler, statement, instruction, {8, 8});
  if (!has(parts, "shared"))
    instruction.execute = move_of(8);
  else
    instruction.execute = has(parts, "to") ? convert_shared<true> : convert_shared<false>;
}

}  // namespace

void add_move_decoders(Decoders& decoders) {
  decoders["mov"] = decode_move;
  decoders["selp"] = decode_select;
  decoders["cvta"] = decode_convert_address;
}

}  // namespace ptx_machine
