// ld, st, atom and what orders them.
#include <cstring>
#include <type_traits>

#include "execution/block.h"
#include "instructions/decoding.h"
#include "instructions/integers.h"

namespace ptx_machine {
namespace {

enum class Space { kGeneric, kGlobal, kShared, kParameter };

// Hints, orders and scopes: threads of this machine see every store at once.
void allow_access(const Parts& parts) {
  allow(parts, {"global", "shared",  "param",   "v2",      "v4",  "ca",  "cg",
                "cs",     "lu",      "cv",      "wb",      "wt",  "nc",  "volatile",
                "weak",   "relaxed", "acquire", "release", "cta", "gpu", "sys"});
}

Space space_of(const Parts& parts) {
  if (has(parts, "global")) return Space::kGlobal;
  if (has(parts, "shared")) return Space::kShared;
  if (has(parts, "param")) return Space::kParameter;
  return Space::kGeneric;
}

template <Space kSpace>
unsigned char* memory_at(Warp& warp, const Instruction& instruction, Operand base, int lane,
                         size_t bytes) {
  const uint64_t address = warp.address(instruction, base, lane);
  if constexpr (kSpace == Space::kGlobal) return warp.device_memory(lane, address, bytes);
  if constexpr (kSpace == Space::kShared) return warp.block.shared(address, bytes);
  if constexpr (kSpace == Space::kGeneric)
    return warp.block.is_own(address) ? warp.block.own(address, bytes)
                                      : warp.device_memory(lane, address, bytes);
  return warp.block.parameter(
      base == kNoOperand ? warp.block.argument_address(instruction.immediate) : address, bytes);
}

template <Space kSpace>
void note(Warp& warp, const Instruction& instruction, Operand base, LaneMask lanes, size_t bytes,
          bool is_load) {
  if (!warp.counters || kSpace == Space::kParameter) return;
  uint64_t addresses[kLanes] = {};
  for_lanes(lanes, [&](int lane) { addresses[lane] = warp.address(instruction, base, lane); });
  const Access access{addresses, lanes, bytes};
  const bool is_shared =
      kSpace == Space::kShared ||
      (kSpace == Space::kGeneric && warp.block.is_own(addresses[__builtin_ctz(lanes)]));
  if (is_shared)
    warp.counters->note_shared(access);
  else if (is_load)
    warp.counters->note_global_load(access);
  else
    warp.counters->note_global_store(access);
}

template <Space kSpace>
unsigned char* memory_to_write(Warp& warp, const Instruction& instruction, Operand base, int lane,
                               size_t bytes) {
  if (kSpace == Space::kGeneric && warp.block.is_parameter(warp.address(instruction, base, lane)))
    throw std::runtime_error("a write to a parameter");
  return memory_at<kSpace>(warp, instruction, base, lane, bytes);
}

// Registers get the value extended to all of their bits.
template <Space kSpace, typename Value, typename Register>
void load(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const size_t count = instruction.list.size();
  note<kSpace>(warp, instruction, instruction.operands[0], lanes, count * sizeof(Value), true);
  for_lanes(lanes, [&](int lane) {
    const unsigned char* from =
        memory_at<kSpace>(warp, instruction, instruction.operands[0], lane, count * sizeof(Value));
    for (size_t i = 0; i < count; ++i) {
      Value value;
      std::memcpy(&value, from + i * sizeof value, sizeof value);
      if (instruction.list[i] != kNoOperand)
        warp.lanes<Register>(instruction.list[i])[lane] = static_cast<Register>(value);
    }
  });
}

template <Space kSpace, typename Value, typename Register>
void store(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const size_t count = instruction.list.size();
  note<kSpace>(warp, instruction, instruction.operands[0], lanes, count * sizeof(Value), false);
  for_lanes(lanes, [&](int lane) {
    unsigned char* to = memory_to_write<kSpace>(warp, instruction, instruction.operands[0], lane,
                                                count * sizeof(Value));
    for (size_t i = 0; i < count; ++i) {
      const auto value = static_cast<Value>(warp.lanes<Register>(instruction.list[i])[lane]);
      std::memcpy(to + i * sizeof value, &value, sizeof value);
    }
  });
}

template <typename Choose>
Execute for_element(std::string_view type, Choose choose) {
  if (type == "s8") return choose(int8_t{});
  if (type == "u8" || type == "b8") return choose(uint8_t{});
  if (type == "f32") return choose(uint32_t{});
  if (type == "f64") return choose(uint64_t{});
  return for_integer(type, choose);
}

template <Space kSpace>
Execute load_of(std::string_view type, size_t register_bytes) {
  return for_element(type, [&](auto value) -> Execute {
    using Value = decltype(value);
    if (register_bytes == 8) return load<kSpace, Value, uint64_t>;
    return load<kSpace, Value, uint32_t>;
  });
}

template <Space kSpace>
Execute store_of(std::string_view type, size_t register_bytes) {
  const auto choose = [&](auto value) -> Execute {
    using Value = decltype(value);
    if (register_bytes == 8) return store<kSpace, Value, uint64_t>;
    return store<kSpace, Value, uint32_t>;
  };
  switch (bytes_of_type(type)) {
    case 1: return choose(uint8_t{});
    case 2: return choose(uint16_t{});
    case 4: return choose(uint32_t{});
    default: return choose(uint64_t{});
  }
}

template <typename Of>
Execute in_space(Space space, Of of) {
  switch (space) {
    case Space::kGlobal: return of(std::integral_constant<Space, Space::kGlobal>());
    case Space::kShared: return of(std::integral_constant<Space, Space::kShared>());
    case Space::kParameter: return of(std::integral_constant<Space, Space::kParameter>());
    default: return of(std::integral_constant<Space, Space::kGeneric>());
  }
}

// As memory would cut it off and extend it.
template <typename To, typename Value, typename From>
void move(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<To>(instruction.operands[0]);
  const auto from = warp.lanes<From>(instruction.operands[1]);
  for_lanes(lanes, [&](int i) { to[i] = static_cast<To>(static_cast<Value>(from[i])); });
}

// What a call passes and returns is in registers.
bool decode_call_parameter(Assembler& assembler, const Argument& address, const Argument& value,
                           bool is_load, std::string_view type, size_t register_bytes,
                           Instruction& instruction) {
  const Operand parameter = assembler.call_parameter(address, bytes_of_type(type));
  if (parameter == kNoOperand) return false;
  const Operand own = assembler.value(value, register_bytes);
  instruction.operands[0] = is_load ? own : parameter;
  instruction.operands[1] = is_load ? parameter : own;
  instruction.execute = for_element(type, [&](auto element) -> Execute {
    using Value = decltype(element);
    using Slot = std::conditional_t<sizeof(Value) == 8, uint64_t, uint32_t>;
    if (is_load)
      return register_bytes == 8 ? move<uint64_t, Value, Slot> : move<uint32_t, Value, Slot>;
    return register_bytes == 8 ? move<Slot, Value, uint64_t> : move<Slot, Value, uint32_t>;
  });
  return true;
}

// The registers of a vector may be wider than its elements in memory.
size_t register_bytes(Assembler& assembler, const Argument& argument) {
  if (argument.kind == Argument::Kind::kNumber) return 4;
  if (argument.kind != Argument::Kind::kList) return assembler.bytes_of(argument);
  for (const Argument& item : argument.items)
    if (item.kind == Argument::Kind::kName && item.name != "_") return assembler.bytes_of(item);
  return 4;
}

void decode_load(Assembler& assembler, const Statement& statement, const Parts& parts,
                 Instruction& instruction) {
  allow_access(parts);
  const Argument &to = statement.arguments.at(0), &from = statement.arguments.at(1);
  const size_t bytes = register_bytes(assembler, to);
  if (decode_call_parameter(assembler, from, to, true, parts.back(), bytes, instruction)) return;
  assembler.address(instruction, from, 0);
  instruction.list = assembler.values(to, bytes);
  instruction.execute = in_space(space_of(parts), [&](auto space) -> Execute {
    return load_of<space()>(parts.back(), bytes);
  });
}

void decode_store(Assembler& assembler, const Statement& statement, const Parts& parts,
                  Instruction& instruction) {
  allow_access(parts);
  const Argument &to = statement.arguments.at(0), &from = statement.arguments.at(1);
  const size_t bytes = std::max(bytes_of_type(parts.back()), register_bytes(assembler, from));
  if (decode_call_parameter(assembler, to, from, false, parts.back(), bytes, instruction)) return;
  if (space_of(parts) == Space::kParameter) throw std::runtime_error("a write to a parameter");
  assembler.address(instruction, to, 0);
  instruction.list = assembler.values(from, bytes);
  instruction.execute = in_space(space_of(parts), [&](auto space) -> Execute {
    return store_of<space()>(parts.back(), bytes);
  });
}

struct Increment {  // back to 0 behind the value
  template <typename T>
  T operator()(T old, T value) const {
    return old >= value ? T{0} : old + T{1};
  }
};

template <Space kSpace, typename T, typename Work>
void update(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto value = warp.lanes<T>(instruction.operands[2]);
  note<kSpace>(warp, instruction, instruction.operands[1], lanes, sizeof(T), false);
  for_lanes(lanes, [&](int lane) {
    unsigned char* at =
        memory_to_write<kSpace>(warp, instruction, instruction.operands[1], lane, sizeof(T));
    T old;
    std::memcpy(&old, at, sizeof old);
    const T updated = Work()(old, value[lane]);
    std::memcpy(at, &updated, sizeof updated);
    if (instruction.operands[0] != kNoOperand) warp.lanes<T>(instruction.operands[0])[lane] = old;
  });
}

template <typename Work>
Execute update_of(Space space, std::string_view type) {
  return in_space(space, [&](auto in) -> Execute {
    return for_integer(type, [](auto zero) -> Execute {
      return update<decltype(in)::value, decltype(zero), Work>;
    });
  });
}

void decode_atomic(Assembler& assembler, const Statement& statement, const Parts& parts,
                   Instruction& instruction) {
  allow(parts, {"global", "shared", "add", "max", "min", "inc", "relaxed", "acquire", "release",
                "acq_rel", "cta", "gpu", "sys"});
  const std::string_view type = parts.back();
  const size_t bytes = bytes_of_type(type);
  instruction.operands[0] = assembler.value(statement.arguments.at(0), bytes);
  assembler.address(instruction, statement.arguments.at(1), 1);
  instruction.operands[2] = assembler.value(statement.arguments.at(2), bytes);
  const Space space = space_of(parts);
  if (is_float(type)) throw std::runtime_error("no atomics on floats");
  if (has(parts, "max"))
    instruction.execute = update_of<Larger>(space, type);
  else if (has(parts, "min"))
    instruction.execute = update_of<Smaller>(space, type);
  else if (has(parts, "add"))
    instruction.execute = update_of<Add>(space, type);
  else if (has(parts, "inc"))
    instruction.execute = update_of<Increment>(space, type);
  else
    throw std::runtime_error("no such atomic");
}

// Threads of this machine see every store at once.
void decode_order(Assembler&, const Statement&, const Parts&, Instruction& instruction) {
  instruction.execute = [](Warp&, const Instruction&, LaneMask) {};
}

// Of a kernel that overlaps: `wait` for those before it; others may come at any time.
void decode_dependency(Assembler&, const Statement&, const Parts& parts, Instruction& instruction) {
  instruction.execute = [](Warp&, const Instruction&, LaneMask) {};
  if (parts.back() == "wait")
    instruction.execute = [](Warp& warp, const Instruction&, LaneMask lanes) {
      warp.waited |= lanes;
    };
}

}  // namespace

void add_memory_decoders(Decoders& decoders) {
  decoders["ld"] = decode_load;
  decoders["st"] = decode_store;
  decoders["atom"] = decode_atomic;
  decoders["membar"] = decode_order;
  decoders["fence"] = decode_order;
  decoders["griddepcontrol"] = decode_dependency;
}

}  // namespace ptx_machine
