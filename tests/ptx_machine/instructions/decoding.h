// What the decoders of instructions share.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

#include "program/assembler.h"
#include "execution/warp.h"

namespace ptx_machine {

using Execute = void (*)(Warp&, const Instruction&, LaneMask);

inline bool has(const Parts& parts, std::string_view part) {
  return std::find(parts.begin(), parts.end(), part) != parts.end();
}

// What stands between the operation and its last `types` words. A modifier that is not known may
// change the result, so that none is passed over.
inline void allow(const Parts& parts, std::initializer_list<std::string_view> modifiers,
                  size_t types = 1) {
  for (size_t i = 1; i + types < parts.size(); ++i)
    if (std::find(modifiers.begin(), modifiers.end(), parts[i]) == modifiers.end())
      throw std::runtime_error("no such form: ." + std::string(parts[i]));
}

// operands[i] from argument i, each of so many bytes.
inline void bind(Assembler& assembler, const Statement& statement, Instruction& instruction,
                 std::initializer_list<size_t> bytes) {
  if (statement.arguments.size() != bytes.size())
    throw std::runtime_error("another number of operands");
  size_t i = 0;
  for (const size_t each : bytes) {
    instruction.operands[i] = assembler.value(statement.arguments[i], each);
    ++i;
  }
}

// For what a warp does as a whole.
inline void require_all(LaneMask lanes) {
  if (lanes != kAllLanes) throw std::runtime_error("threads of the warp are missing");
}

template <typename To, typename From, typename Work>
void unary(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<To>(instruction.operands[0]);
  const auto a = warp.lanes<From>(instruction.operands[1]);
  for_lanes(lanes, [&](int i) { to[i] = Work()(a[i]); });
}

template <typename To, typename From, typename Work>
void binary(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<To>(instruction.operands[0]);
  const auto a = warp.lanes<From>(instruction.operands[1]);
  const auto b = warp.lanes<From>(instruction.operands[2]);
  for_lanes(lanes, [&](int i) { to[i] = Work()(a[i], b[i]); });
}

template <typename To, typename From, typename Work>
void ternary(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<To>(instruction.operands[0]);
  const auto a = warp.lanes<From>(instruction.operands[1]);
  const auto b = warp.lanes<From>(instruction.operands[2]);
  const auto c = warp.lanes<To>(instruction.operands[3]);
  for_lanes(lanes, [&](int i) { to[i] = Work()(a[i], b[i], c[i]); });
}

// Calls choose with a value of the type that a suffix names, integers alone; bits are unsigned.
template <typename Choose>
Execute for_integer(std::string_view type, Choose choose) {
  if (type == "s16") return choose(int16_t{});
  if (type == "u16" || type == "b16") return choose(uint16_t{});
  if (type == "s32") return choose(int32_t{});
  if (type == "u32" || type == "b32") return choose(uint32_t{});
  if (type == "s64") return choose(int64_t{});
  if (type == "u64" || type == "b64") return choose(uint64_t{});
  throw std::runtime_error("no such integers");
}

template <typename Choose>
Execute for_float(std::string_view type, Choose choose) {
  if (type == "f32") return choose(float{});
  if (type == "f64") return choose(double{});
  throw std::runtime_error("no such floats");
}

inline bool is_float(std::string_view type) { return type.starts_with('f'); }

using Decoders = std::unordered_map<std::string_view, Decode>;
void add_integer_decoders(Decoders& decoders);
void add_float_decoders(Decoders& decoders);
void add_move_decoders(Decoders& decoders);
void add_convert_decoders(Decoders& decoders);
void add_compare_decoders(Decoders& decoders);
void add_memory_decoders(Decoders& decoders);
void add_warp_decoders(Decoders& decoders);
void add_matrix_decoders(Decoders& decoders);
void add_async_decoders(Decoders& decoders);
void add_warpgroup_decoders(Decoders& decoders);
void add_cluster_decoders(Decoders& decoders);

}  // namespace ptx_machine
