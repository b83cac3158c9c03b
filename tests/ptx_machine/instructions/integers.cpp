// Arithmetic and bits of integers. add, sub, mul, mad, min, max, neg and abs are decoded here for
// floats too: those words name both.
#include <limits>
#include <type_traits>

#include "instructions/decoding.h"
#include "instructions/floats.h"
#include "instructions/integers.h"

namespace ptx_machine {
namespace {

struct Subtract {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(bits(a) - bits(b));
  }
};
struct MultiplyLow {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(bits(a) * bits(b));
  }
};
struct MultiplyHigh {
  template <typename T>
  T operator()(T a, T b) const {
    using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return static_cast<T>((Wide{a} * Wide{b}) >> (8 * sizeof(T)));
  }
};
struct MultiplyAdd {
  template <typename T>
  T operator()(T a, T b, T c) const {
    return static_cast<T>(bits(a) * bits(b) + bits(c));
  }
};
// The device gives some number for a divisor of 0; here it is an error, for no kernel means it.
struct Divide {
  template <typename T>
  T operator()(T a, T b) const {
    if (b == 0) throw std::runtime_error("division by zero");
    if constexpr (std::is_signed_v<T>)
      if (b == -1) return static_cast<T>(-bits(a));
    return static_cast<T>(a / b);
  }
};
struct Remainder {
  template <typename T>
  T operator()(T a, T b) const {
    if (b == 0) throw std::runtime_error("division by zero");
    if constexpr (std::is_signed_v<T>)
      if (b == -1) return 0;
    return static_cast<T>(a % b);
  }
};
struct And {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a ^ b);
  }
};
struct Not {
  template <typename T>
  T operator()(T a) const {
    return static_cast<T>(~a);
  }
};
struct Negate {
  template <typename T>
  T operator()(T a) const {
    return static_cast<T>(-bits(a));
  }
};
struct Absolute {
  template <typename T>
  T operator()(T a) const {
    return a < 0 ? static_cast<T>(-bits(a)) : a;
  }
};

template <typename Work>
Execute binary_of(std::string_view type) {
  return for_integer(type, [](auto zero) -> Execute {
    using T = decltype(zero);
    return binary<T, T, Work>;
  });
}
template <typename Work>
Execute unary_of(std::string_view type) {
  return for_integer(type, [](auto zero) -> Execute {
    using T = decltype(zero);
    return unary<T, T, Work>;
  });
}

template <typename Work, Execute (*kOfFloats)(const Parts&) = nullptr>
void decode_binary(Assembler& assembler, const Statement& statement, const Parts& parts,
                   Instruction& instruction) {
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes, bytes});
  if constexpr (kOfFloats != nullptr)
    if (is_float(parts.back())) {
      instruction.execute = kOfFloats(parts);
      return;
    }
  allow(parts, {"lo", "hi"});
  instruction.execute = binary_of<Work>(parts.back());
}

template <typename Work, Execute (*kOfFloats)(const Parts&) = nullptr>
void decode_unary(Assembler& assembler, const Statement& statement, const Parts& parts,
                  Instruction& instruction) {
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes});
  if constexpr (kOfFloats != nullptr)
    if (is_float(parts.back())) {
      instruction.execute = kOfFloats(parts);
      return;
    }
  allow(parts, {});
  instruction.execute = unary_of<Work>(parts.back());
}

template <typename Wide, typename Narrow>
void multiply_wide(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<Wide>(instruction.operands[0]);
  const auto a = warp.lanes<Narrow>(instruction.operands[1]);
  const auto b = warp.lanes<Narrow>(instruction.operands[2]);
  for_lanes(lanes, [&](int i) {
    to[i] = static_cast<Wide>(static_cast<Wide>(a[i]) * static_cast<Wide>(b[i]));
  });
}

void decode_multiply(Assembler& assembler, const Statement& statement, const Parts& parts,
                     Instruction& instruction) {
  const std::string_view type = parts.back();
  if (has(parts, "wide")) {
    const size_t bytes = bytes_of_type(type);
    bind(assembler, statement, instruction, {2 * bytes, bytes, bytes});
    if (type == "s32")
      instruction.execute = multiply_wide<int64_t, int32_t>;
    else if (type == "u32")
      instruction.execute = multiply_wide<uint64_t, uint32_t>;
    else if (type == "s16")
      instruction.execute = multiply_wide<int32_t, int16_t>;
    else if (type == "u16")
      instruction.execute = multiply_wide<uint32_t, uint16_t>;
    else
      throw std::runtime_error("no such product");
  } else if (has(parts, "hi")) {
    decode_binary<MultiplyHigh>(assembler, statement, parts, instruction);
  } else {
    decode_binary<MultiplyLow, multiply_floats>(assembler, statement, parts, instruction);
  }
}

void decode_multiply_add(Assembler& assembler, const Statement& statement, const Parts& parts,
                         Instruction& instruction) {
  if (!has(parts, "lo")) throw std::runtime_error("no such sum of a product");
  allow(parts, {"lo"});
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes, bytes, bytes});
  instruction.execute = for_integer(parts.back(), [](auto zero) -> Execute {
    using T = decltype(zero);
    return ternary<T, T, MultiplyAdd>;
  });
}

// and, or, xor, not: of bits, or of predicates, which are one word for all lanes.
template <typename Work>
void of_predicates(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const LaneMask a = warp.mask(instruction.operands[1]);
  LaneMask found;
  if constexpr (std::is_same_v<Work, Not>)
    found = Work()(a);
  else
    found = Work()(a, warp.mask(instruction.operands[2]));
  LaneMask& to = warp.mask(instruction.operands[0]);
  to = (to & ~lanes) | (found & lanes);
}

template <typename Work>
void decode_bits(Assembler& assembler, const Statement& statement, const Parts& parts,
                 Instruction& instruction) {
  if (parts.back() == "pred") {
    for (size_t i = 0; i < statement.arguments.size(); ++i)
      instruction.operands[i] = assembler.predicate(statement.arguments[i]);
    instruction.execute = of_predicates<Work>;
  } else if constexpr (std::is_same_v<Work, Not>) {
    decode_unary<Work>(assembler, statement, parts, instruction);
  } else {
    decode_binary<Work>(assembler, statement, parts, instruction);
  }
}

// By an unsigned 32-bit number; as far as the width or further leaves 0, or the sign alone.
template <typename T, bool kIsLeft>
void shift(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  constexpr uint32_t kBits = 8 * sizeof(T);
  const auto to = warp.lanes<T>(instruction.operands[0]);
  const auto a = warp.lanes<T>(instruction.operands[1]);
  const auto by = warp.lanes<uint32_t>(instruction.operands[2]);
  for_lanes(lanes, [&](int i) {
    const uint32_t most = std::min(by[i], kBits - 1);
    if constexpr (kIsLeft)
      to[i] = by[i] >= kBits ? T{0} : static_cast<T>(a[i] << most);
    else if constexpr (std::is_signed_v<T>)
      to[i] = static_cast<T>(a[i] >> most);
    else
      to[i] = by[i] >= kBits ? T{0} : static_cast<T>(a[i] >> most);
  });
}

template <bool kIsLeft>
void decode_shift(Assembler& assembler, const Statement& statement, const Parts& parts,
                  Instruction& instruction) {
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes, 4});
  instruction.execute = for_integer(
      parts.back(), [](auto zero) -> Execute { return shift<decltype(zero), kIsLeft>; });
}

// bfi: `length` bits of a into b from bit `first` on.
void insert_bits(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<uint32_t>(instruction.operands[0]);
  const auto a = warp.lanes<uint32_t>(instruction.operands[1]);
  const auto b = warp.lanes<uint32_t>(instruction.operands[2]);
  const auto first = warp.lanes<uint32_t>(instruction.operands[3]);
  const auto length = warp.lanes<uint32_t>(instruction.operands[4]);
  for_lanes(lanes, [&](int i) {
    const uint64_t from = first[i] & 0xff, count = std::min<uint32_t>(length[i] & 0xff, 32);
    const uint64_t field = from >= 32 ? 0 : ((uint64_t{1} << count) - 1) << from;
    to[i] = static_cast<uint32_t>((b[i] & ~field) |
                                  ((from >= 32 ? 0 : uint64_t{a[i]} << from) & field));
  });
}

void decode_insert(Assembler& assembler, const Statement& statement, const Parts& parts,
                   Instruction& instruction) {
  if (parts.back() != "b32") throw std::runtime_error("no such field");
  bind(assembler, statement, instruction, {4, 4, 4, 4, 4});
  instruction.execute = insert_bits;
}

// prmt: four bytes out of the eight of a and b.
void permute_bytes(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto to = warp.lanes<uint32_t>(instruction.operands[0]);
  const auto a = warp.lanes<uint32_t>(instruction.operands[1]);
  const auto b = warp.lanes<uint32_t>(instruction.operands[2]);
  const auto which = warp.lanes<uint32_t>(instruction.operands[3]);
  for_lanes(lanes, [&](int i) {
    const uint64_t bytes = a[i] | uint64_t{b[i]} << 32;
    uint32_t found = 0;
    for (int byte = 0; byte < 4; ++byte) {
      const uint32_t selector = which[i] >> (4 * byte) & 0xf;
      uint32_t value = static_cast<uint32_t>(bytes >> (8 * (selector & 7))) & 0xff;
      if (selector & 8) value = value & 0x80 ? 0xff : 0;
      found |= value << (8 * byte);
    }
    to[i] = found;
  });
}

void decode_permute(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  if (parts.size() != 2) throw std::runtime_error("no such order of bytes");
  bind(assembler, statement, instruction, {4, 4, 4, 4});
  instruction.execute = permute_bytes;
}

}  // namespace

void add_integer_decoders(Decoders& decoders) {
  decoders["add"] = decode_binary<Add, add_floats>;
  decoders["sub"] = decode_binary<Subtract, subtract_floats>;
  decoders["mul"] = decode_multiply;
  decoders["mad"] = decode_multiply_add;
  decoders["div"] = decode_binary<Divide, divide_floats>;
  decoders["rem"] = decode_binary<Remainder>;
  decoders["min"] = decode_binary<Smaller, smaller_float>;
  decoders["max"] = decode_binary<Larger, larger_float>;
  decoders["neg"] = decode_unary<Negate, negate_float>;
  decoders["abs"] = decode_unary<Absolute, absolute_float>;
  decoders["and"] = decode_bits<And>;
  decoders["or"] = decode_bits<Or>;
  decoders["xor"] = decode_bits<Xor>;
  decoders["not"] = decode_bits<Not>;
  decoders["shl"] = decode_shift<true>;
  decoders["shr"] = decode_shift<false>;
  decoders["bfi"] = decode_insert;
  decoders["prmt"] = decode_permute;
}

}  // namespace ptx_machine
