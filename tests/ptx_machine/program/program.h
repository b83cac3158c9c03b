// A kernel as the interpreter runs it: PTX statements, decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "program/kernel.h"

namespace ptx_machine {

class Warp;

constexpr int kLanes = 32;
using LaneMask = uint32_t;  // bit i: lane i
constexpr LaneMask kAllLanes = ~LaneMask{0};

// Where an operand lies. Not negative: bytes into a warp's registers. Else ~offset bytes into the
// constants of the kernel. A predicate is one LaneMask; values of 8 bytes lie 8 apart, all
// others 4.
using Operand = int32_t;
constexpr Operand kNoOperand = INT32_MIN;

constexpr size_t slot_bytes(size_t value_bytes) { return value_bytes == 8 ? 8 : 4; }

// What the warp does beside calling execute().
enum class Flow : uint8_t {
  kNext,
  kBranch,
  kExit,
  kTogether,  // waits until all lanes that it names (operand `members`, or all) are at it
  kBarrier,   // so, and then for all threads of the block
  kTryWait,   // gives other warps a turn when what it waits for has not come
};

struct Instruction {
  void (*execute)(Warp&, const Instruction&, LaneMask) = nullptr;
  Flow flow = Flow::kNext;
  bool is_negated = false;        // the guard
  bool is_product = false;        // fma, mma, wgmma: what kernels are there for
  bool has_wide_address = false;  // of 64 bits
  Operand guard = kNoOperand;
  Operand members = kNoOperand;
  Operand operands[5] = {kNoOperand, kNoOperand, kNoOperand, kNoOperand, kNoOperand};
  int32_t target = 0;  // of a branch
  uint32_t line = 0;   // of the PTX text
  int64_t immediate = 0;
  std::vector<Operand> list;  // vectors, coordinates, sums of wgmma
};

// What a thread reads as %tid.x and so on: registers that are written before it starts.
enum class Special {
  kTidX,
  kTidY,
  kTidZ,
  kNtidX,
  kNtidY,
  kNtidZ,
  kCtaidX,
  kCtaidY,
  kCtaidZ,
  kNctaidX,
  kNctaidY,
  kNctaidZ,
  kLaneid,
  kClusterCtarank,
  kClusterNctarank,
  kCount
};

// Shared addresses count from here: a block's first KiB belongs to the system on sm_90.
constexpr size_t kFirstSharedAddress = 1024;

struct Kernel {
  std::string name;
  std::vector<Instruction> code;
  std::vector<unsigned char> constants;
  size_t register_bytes = 0;
  std::vector<Parameter> parameters;
  Limits limits{1024, 0};
  size_t dynamic_first = 0;  // where a launch's own shared memory begins, behind the kernel's
};

}  // namespace ptx_machine
