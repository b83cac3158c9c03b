// cvt: between types. Registers may be wider than the types that are named.
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "instructions/decoding.h"

namespace ptx_machine {
namespace {

// Integers to integers; integers and doubles to floats, to the nearest.
template <typename To, typename From>
void plain(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  // A register is wider than a byte or half a word; what is read again is the extended value.
  using Stored =
      std::conditional_t<std::is_integral_v<To> && (sizeof(To) < 4),
                         std::conditional_t<std::is_signed_v<To>, int32_t, uint32_t>, To>;
  const auto to = warp.lanes<Stored>(instruction.operands[0]);
  const auto a = warp.lanes<From>(instruction.operands[1]);
  for_lanes(lanes, [&](int i) { to[i] = static_cast<Stored>(static_cast<To>(a[i])); });
}

// The lowest bits of a register of 64.
template <typename To, typename From>
void plain_of_wide(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<To>(instruction.operands[0]);
  const auto a = warp.lanes<uint64_t>(instruction.operands[1]);
  for_lanes(lanes, [&](int i) { to[i] = static_cast<To>(static_cast<From>(a[i])); });
}

Execute conversion_of_wide(const Parts& parts, std::string_view to, std::string_view from) {
  allow(parts, {}, 2);
  if (is_float(to) || is_float(from)) throw std::runtime_error("no such conversion");
  return for_integer(to, [&](auto zero_to) -> Execute {
    using To = decltype(zero_to);
    return for_integer(
        from, [](auto zero_from) -> Execute { return plain_of_wide<To, decltype(zero_from)>; });
  });
}

template <typename Choose>
Execute for_any(std::string_view type, Choose choose) {
  if (type == "s8") return choose(int8_t{});
  if (type == "u8" || type == "b8") return choose(uint8_t{});
  if (type == "f32") return choose(float{});
  if (type == "f64") return choose(double{});
  return for_integer(type, choose);
}

// How a float becomes a whole number, by the suffix.
struct Nearest {
  template <typename T>
  T operator()(T a) const {
    return std::nearbyint(a);
  }
};
struct TowardsZero {
  template <typename T>
  T operator()(T a) const {
    return std::trunc(a);
  }
};
struct Downwards {
  template <typename T>
  T operator()(T a) const {
    return std::floor(a);
  }
};
struct Upwards {
  template <typename T>
  T operator()(T a) const {
    return std::ceil(a);
  }
};

template <typename Choose>
Execute for_whole(const Parts& parts, Choose choose) {
  if (has(parts, "rni")) return choose(Nearest{});
  if (has(parts, "rzi")) return choose(TowardsZero{});
  if (has(parts, "rmi")) return choose(Downwards{});
  if (has(parts, "rpi")) return choose(Upwards{});
  throw std::runtime_error("no such rounding");
}

template <typename T>
Execute whole_float(const Parts& parts) {
  return for_whole(parts, [](auto rounding) -> Execute { return unary<T, T, decltype(rounding)>; });
}

// To the nearest integer that there is. NaN becomes 0, but only the highest bit where the float or
// the integer has 64 bits.
template <typename To, typename Rounding>
struct ToInteger {
  template <typename From>
  To operator()(From value) const {
    const From whole = Rounding()(value);
    if (std::isnan(whole)) return kOfNaN<From>;
    if (whole <= static_cast<From>(std::numeric_limits<To>::min()))
      return std::numeric_limits<To>::min();
    if (whole >= static_cast<From>(std::numeric_limits<To>::max()))
      return std::numeric_limits<To>::max();
    return static_cast<To>(whole);
  }

 private:
  template <typename From>
  static constexpr To kOfNaN =
      sizeof(From) == 8 || sizeof(To) == 8 ? static_cast<To>(uint64_t{1} << (8 * sizeof(To) - 1))
                                           : To{0};
};

template <typename From>
Execute to_integer(const Parts& parts, std::string_view to) {
  return for_integer(to, [&](auto zero) -> Execute {
    using To = decltype(zero);
    return for_whole(parts, [](auto rounding) -> Execute {
      return unary<To, From, ToInteger<To, decltype(rounding)>>;
    });
  });
}

// Into [0, 1]; NaN to 0.
struct Saturate {
  float operator()(float a) const { return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f; }
};

// The 13 lowest bits rounded away, ties away from zero.
struct ToTf32 {
  uint32_t operator()(uint32_t bits) const {
    if ((bits >> 23 & 0xff) == 0xff) return bits;
    const uint32_t magnitude = (bits & 0x7fffffff) + 0x1000;
    return (bits & 0x80000000) | (magnitude & 0x7fffe000);
  }
};

uint32_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return 0x7fff;
  const uint32_t below = bits & 0xffff, above = bits >> 16;
  return above + (below > 0x8000 || (below == 0x8000 && (above & 1)) ? 1 : 0);
}

// cvt.rn.bf16x2.f32 d, a, b: a in the upper half.
struct ToTwoBfloat16 {
  uint32_t operator()(float upper, float lower) const {
    return to_bfloat16(upper) << 16 | to_bfloat16(lower);
  }
};

Execute conversion(const Parts& parts, std::string_view to, std::string_view from) {
  if (parts.size() > 4) throw std::runtime_error("no such conversion");
  if (has(parts, "sat")) {
    if (to != "f32" || from != "f32") throw std::runtime_error("no such conversion");
    return unary<float, float, Saturate>;
  }
  if (is_float(from) && is_float(to) && to == from)
    return to == "f32" ? whole_float<float>(parts) : whole_float<double>(parts);
  if (is_float(from) && !is_float(to))
    return from == "f32" ? to_integer<float>(parts, to) : to_integer<double>(parts, to);
  const bool is_rounded = is_float(to) && from != "f32";
  if (is_rounded != has(parts, "rn")) throw std::runtime_error("no such rounding");
  allow(parts, {"rn"}, 2);
  return for_any(to, [&](auto zero_to) -> Execute {
    using To = decltype(zero_to);
    return for_any(from, [](auto zero_from) -> Execute { return plain<To, decltype(zero_from)>; });
  });
}

void decode_convert(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  const std::string_view from = parts.back(), to = parts.at(parts.size() - 2);
  if (to == "bf16x2") {
    allow(parts, {"rn"}, 2);
    bind(assembler, statement, instruction, {4, 4, 4});
    instruction.execute = binary<uint32_t, float, ToTwoBfloat16>;
  } else if (to == "tf32") {
    if (!has(parts, "rna")) throw std::runtime_error("no such rounding");
    allow(parts, {"rna"}, 2);
    bind(assembler, statement, instruction, {4, 4});
    instruction.execute = unary<uint32_t, uint32_t, ToTf32>;
  } else if (bytes_of_type(from) < 8 && assembler.bytes_of(statement.arguments.at(1)) == 8) {
    bind(assembler, statement, instruction, {bytes_of_type(to), 8});
    instruction.execute = conversion_of_wide(parts, to, from);
  } else {
    bind(assembler, statement, instruction, {bytes_of_type(to), bytes_of_type(from)});
    instruction.execute = conversion(parts, to, from);
  }
}

}  // namespace

void add_convert_decoders(Decoders& decoders) { decoders["cvt"] = decode_convert; }

}  // namespace ptx_machine
