// ldmatrix and mma.sync: fragments of matrices over the lanes of a warp, as PTX lays them out.
#include <bit>
#include <cstring>

#include "execution/block.h"
#include "execution/counters.h"
#include "instructions/decoding.h"
#include "instructions/elements.h"

namespace ptx_machine {
namespace {

constexpr int kMatrices = 4, kMatrixRows = 8, kRowBytes = 16;

// Lane 8 i + r brings the address of row r of matrix i; lane 4 r + c gets its word c.
void load_matrices(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  require_all(lanes);
  // The addresses may lie in a register that is loaded.
  uint64_t addresses[kLanes];
  for (int lane = 0; lane < kLanes; ++lane)
    addresses[lane] = warp.address(instruction, instruction.operands[0], lane);
  if (warp.counters) warp.counters->note_shared({addresses, kAllLanes, kRowBytes});
  for (int matrix = 0; matrix < kMatrices; ++matrix) {
    const auto to = warp.lanes<uint32_t>(instruction.list[static_cast<size_t>(matrix)]);
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t row = addresses[kMatrixRows * matrix + lane / 4];
      std::memcpy(&to[lane], warp.block.shared(row, kRowBytes) + 4 * (lane % 4), 4);
    }
  }
}

void decode_load_matrices(Assembler& assembler, const Statement& statement, const Parts& parts,
                          Instruction& instruction) {
  if (!has(parts, "x4") || has(parts, "trans") || parts.back() != "b16")
    throw std::runtime_error("no such matrices");
  instruction.list = assembler.values(statement.arguments.at(0), 4);
  if (instruction.list.size() != kMatrices) throw std::runtime_error("another number of registers");
  assembler.address(instruction, statement.arguments.at(1), 0);
  instruction.flow = Flow::kTogether;
  instruction.execute = load_matrices;
}

// A is 16 rows of kDepth, B kDepth of 8 columns. Element i of a lane's A lies in row_of_a(), and so
// on; elements of 16 bits lie two in a register.
template <typename Element>
struct Fragments {
  static constexpr int kPerRegister = 4 / Element::kBytes;
  static constexpr int kDepth = 8 * kPerRegister;
  static constexpr int kOfA = 4 * kPerRegister, kOfB = 2 * kPerRegister;

  static int row_of_a(int lane, int i) { return lane / 4 + (i / kPerRegister % 2 ? 8 : 0); }
  static int depth_of_a(int lane, int i) {
    return depth(lane, i % kPerRegister, i / kPerRegister / 2);
  }
  static int depth_of_b(int lane, int i) { return depth(lane, i % kPerRegister, i / kPerRegister); }
  static int column_of_b(int lane) { return lane / 4; }

 private:
  static int depth(int lane, int within, int half) {
    return lane % 4 * kPerRegister + within + half * kDepth / 2;
  }
};

template <typename Element>
void multiply_add(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  require_all(lanes);
  using Layout = Fragments<Element>;
  float a[16][Layout::kDepth], b[Layout::kDepth][8];
  const auto element = [&](size_t first, int lane, int i) {
    const Operand word = instruction.list[first + static_cast<size_t>(i / Layout::kPerRegister)];
    return Element::value(warp.lanes<uint32_t>(word)[lane], i % Layout::kPerRegister);
  };
  for (int lane = 0; lane < kLanes; ++lane) {
    for (int i = 0; i < Layout::kOfA; ++i)
      a[Layout::row_of_a(lane, i)][Layout::depth_of_a(lane, i)] = element(4, lane, i);
    for (int i = 0; i < Layout::kOfB; ++i)
      b[Layout::depth_of_b(lane, i)][Layout::column_of_b(lane)] = element(8, lane, i);
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    float sums[4];  // the registers of the result may be those of other sums
    for (size_t i = 0; i < 4; ++i) {
      const int row = lane / 4 + (i / 2 ? 8 : 0), column = lane % 4 * 2 + static_cast<int>(i % 2);
      sums[i] = warp.lanes<float>(instruction.list[10 + i])[lane];
      for (int k = 0; k < Layout::kDepth; ++k) sums[i] += a[row][k] * b[k][column];
    }
    for (size_t i = 0; i < 4; ++i) warp.lanes<float>(instruction.list[i])[lane] = sums[i];
  }
}

// mma d, a, b, c: 4, 4, 2 and 4 registers.
void decode_multiply_add(Assembler& assembler, const Statement& statement, const Parts&,
                         Instruction& instruction) {
  for (const Argument& argument : statement.arguments)
    for (const Operand operand : assembler.values(argument, 4)) instruction.list.push_back(operand);
  if (instruction.list.size() != 14) throw std::runtime_error("another number of registers");
  instruction.flow = Flow::kTogether;
  instruction.is_product = true;
  if (statement.opcode == "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
    instruction.execute = multiply_add<Tf32Element>;
  else if (statement.opcode == "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
    instruction.execute = multiply_add<Bfloat16Element>;
  else
    throw std::runtime_error("no such product");
}

}  // namespace

void add_matrix_decoders(Decoders& decoders) {
  decoders["ldmatrix"] = decode_load_matrices;
  decoders["mma"] = decode_multiply_add;
}

}  // namespace ptx_machine
