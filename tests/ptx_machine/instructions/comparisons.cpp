// setp: predicates.
#include <cmath>
#include <functional>

#include "instructions/decoding.h"

namespace ptx_machine {
namespace {

template <typename T, typename Compare>
void compare(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const auto a = warp.lanes<T>(instruction.operands[1]);
  const auto b = warp.lanes<T>(instruction.operands[2]);
  LaneMask found = 0;
  for_lanes(lanes, [&](int i) { found |= LaneMask{Compare()(a[i], b[i])} << i; });
  LaneMask& to = warp.mask(instruction.operands[0]);
  to = (to & ~lanes) | found;
}

struct NotEqual {  // ordered: false for a NaN
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b || a > b;
  }
};
struct BothNumbers {
  template <typename T>
  bool operator()(T a, T b) const {
    return !std::isnan(a) && !std::isnan(b);
  }
};
struct AnyNaN {
  template <typename T>
  bool operator()(T a, T b) const {
    return std::isnan(a) || std::isnan(b);
  }
};
// True for a NaN, else as the comparison says.
template <typename Compare>
struct OrNaN {
  template <typename T>
  bool operator()(T a, T b) const {
    return AnyNaN()(a, b) || Compare()(a, b);
  }
};

template <typename T>
Execute integer_comparison(std::string_view how) {
  if (how == "eq") return compare<T, std::equal_to<>>;
  if (how == "ne") return compare<T, std::not_equal_to<>>;
  if (how == "lt" || how == "lo") return compare<T, std::less<>>;
  if (how == "le" || how == "ls") return compare<T, std::less_equal<>>;
  if (how == "gt" || how == "hi") return compare<T, std::greater<>>;
  if (how == "ge" || how == "hs") return compare<T, std::greater_equal<>>;
  throw std::runtime_error("no such comparison");
}

template <typename T>
Execute float_comparison(std::string_view how) {
  if (how == "ne") return compare<T, NotEqual>;
  if (how == "num") return compare<T, BothNumbers>;
  if (how == "nan") return compare<T, AnyNaN>;
  if (how == "equ") return compare<T, OrNaN<std::equal_to<>>>;
  if (how == "neu") return compare<T, std::not_equal_to<>>;  // a NaN equals nothing
  if (how == "ltu") return compare<T, OrNaN<std::less<>>>;
  if (how == "leu") return compare<T, OrNaN<std::less_equal<>>>;
  if (how == "gtu") return compare<T, OrNaN<std::greater<>>>;
  if (how == "geu") return compare<T, OrNaN<std::greater_equal<>>>;
  return integer_comparison<T>(how);
}

void decode_compare(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  if (parts.size() != 3) throw std::runtime_error("no such comparison");
  const std::string_view type = parts.back(), how = parts[1];
  const size_t bytes = bytes_of_type(type);
  instruction.operands[0] = assembler.predicate(statement.arguments.at(0));
  for (size_t i = 1; i < 3; ++i)
    instruction.operands[i] = assembler.value(statement.arguments.at(i), bytes);
  if (type == "f32")
    instruction.execute = float_comparison<float>(how);
  else if (type == "f64")
    instruction.execute = float_comparison<double>(how);
  else
    instruction.execute = for_integer(
        type, [&](auto zero) -> Execute { return integer_comparison<decltype(zero)>(how); });
}

}  // namespace

void add_compare_decoders(Decoders& decoders) { decoders["setp"] = decode_compare; }

}  // namespace ptx_machine
