// Arithmetic of floats, rounded to the nearest unless the opcode says otherwise. What the device
// approximates (ex2.approx, rcp.approx) is rounded correctly here: nobody may rely on its last
// bits. Nor on those of a NaN, which are the host's. Compiled with -frounding-math, for some sums
// are rounded downwards or towards zero.
#include "instructions/floats.h"

#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>

namespace ptx_machine {
namespace {

struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <typename T>
  T operator()(T a, T b) const {
    return a - b;
  }
};
struct Multiply {
  template <typename T>
  T operator()(T a, T b) const {
    return a * b;
  }
};
struct Divide {
  template <typename T>
  T operator()(T a, T b) const {
    return a / b;
  }
};
struct FusedMultiplyAdd {
  template <typename T>
  T operator()(T a, T b, T c) const {
    return std::fma(a, b, c);
  }
};
// A NaN gives way to the other operand, and -0 is less than +0.
struct Smaller {
  template <typename T>
  T operator()(T a, T b) const {
    if (a == b) return std::signbit(a) ? a : b;
    return std::isnan(b) || a < b ? a : b;
  }
};
struct Larger {
  template <typename T>
  T operator()(T a, T b) const {
    if (a == b) return std::signbit(a) ? b : a;
    return std::isnan(b) || a > b ? a : b;
  }
};
struct Negate {
  template <typename T>
  T operator()(T a) const {
    return -a;
  }
};
struct Absolute {
  template <typename T>
  T operator()(T a) const {
    return std::fabs(a);
  }
};
struct SquareRoot {
  template <typename T>
  T operator()(T a) const {
    return std::sqrt(a);
  }
};
struct Reciprocal {
  template <typename T>
  T operator()(T a) const {
    return T{1} / a;
  }
};
struct PowerOfTwo {
  template <typename T>
  T operator()(T a) const {
    return std::exp2(a);
  }
};
// copysign.f32 d, a, b: the sign of a, the magnitude of b.
struct CopySign {
  template <typename T>
  T operator()(T a, T b) const {
    return std::copysign(b, a);
  }
};

template <typename T>
T flushed(T value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(T{0}, value) : value;
}
template <typename Work>
struct Flushing {
  float operator()(float a) const { return flushed(Work()(flushed(a))); }
};

template <int kDirection, Execute kExecute>
void in_direction(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  const int before = std::fegetround();
  std::fesetround(kDirection);
  kExecute(warp, instruction, lanes);
  std::fesetround(before);
}

template <Execute kExecute>
Execute rounded(const Parts& parts) {
  if (has(parts, "rm")) return in_direction<FE_DOWNWARD, kExecute>;
  if (has(parts, "rz")) return in_direction<FE_TOWARDZERO, kExecute>;
  if (has(parts, "rp")) return in_direction<FE_UPWARD, kExecute>;
  return kExecute;
}

template <typename Work>
Execute binary_of(const Parts& parts) {
  allow(parts, {"rn", "rm", "rz", "rp"});
  return for_float(parts.back(), [&](auto zero) -> Execute {
    using T = decltype(zero);
    return rounded<binary<T, T, Work>>(parts);
  });
}
template <typename Work>
Execute unary_of(const Parts& parts) {
  allow(parts, {});
  return for_float(parts.back(), [](auto zero) -> Execute {
    using T = decltype(zero);
    return unary<T, T, Work>;
  });
}

void decode_fma(Assembler& assembler, const Statement& statement, const Parts& parts,
                Instruction& instruction) {
  allow(parts, {"rn", "rm", "rz", "rp"});
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes, bytes, bytes});
  instruction.is_product = true;
  instruction.execute = for_float(parts.back(), [&](auto zero) -> Execute {
    using T = decltype(zero);
    return rounded<ternary<T, T, FusedMultiplyAdd>>(parts);
  });
}

template <typename Work>
void decode_function(Assembler& assembler, const Statement& statement, const Parts& parts,
                     Instruction& instruction) {
  allow(parts, {"rn", "approx", "ftz"});
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes});
  if (has(parts, "ftz") && parts.back() == "f32")
    instruction.execute = unary<float, float, Flushing<Work>>;
  else
    instruction.execute = for_float(parts.back(), [](auto zero) -> Execute {
      using T = decltype(zero);
      return unary<T, T, Work>;
    });
}

// rcp.approx.ftz.f64 looks at the upper 32 bits alone, and leaves the others 0.
struct RoughReciprocal {
  double operator()(double a) const { return upper(flushed(1.0 / flushed(upper(a)))); }

 private:
  static double upper(double value) {
    if (std::isnan(value)) return std::numeric_limits<double>::quiet_NaN();
    return std::bit_cast<double>(std::bit_cast<uint64_t>(value) & 0xffffffff00000000u);
  }
};

void decode_reciprocal(Assembler& assembler, const Statement& statement, const Parts& parts,
                       Instruction& instruction) {
  decode_function<Reciprocal>(assembler, statement, parts, instruction);
  if (has(parts, "approx") && parts.back() == "f64")
    instruction.execute = unary<double, double, RoughReciprocal>;
}

void decode_copysign(Assembler& assembler, const Statement& statement, const Parts& parts,
                     Instruction& instruction) {
  const size_t bytes = bytes_of_type(parts.back());
  bind(assembler, statement, instruction, {bytes, bytes, bytes});
  instruction.execute = for_float(parts.back(), [](auto zero) -> Execute {
    using T = decltype(zero);
    return binary<T, T, CopySign>;
  });
}

}  // namespace

Execute add_floats(const Parts& parts) { return binary_of<Add>(parts); }
Execute subtract_floats(const Parts& parts) { return binary_of<Subtract>(parts); }
Execute multiply_floats(const Parts& parts) { return binary_of<Multiply>(parts); }
Execute divide_floats(const Parts& parts) { return binary_of<Divide>(parts); }
Execute smaller_float(const Parts& parts) { return binary_of<Smaller>(parts); }
Execute larger_float(const Parts& parts) { return binary_of<Larger>(parts); }
Execute negate_float(const Parts& parts) { return unary_of<Negate>(parts); }
Execute absolute_float(const Parts& parts) { return unary_of<Absolute>(parts); }

void add_float_decoders(Decoders& decoders) {
  decoders["fma"] = decode_fma;
  decoders["sqrt"] = decode_function<SquareRoot>;
  decoders["rcp"] = decode_reciprocal;
  decoders["ex2"] = decode_function<PowerOfTwo>;
  decoders["copysign"] = decode_copysign;
}

}  // namespace ptx_machine
