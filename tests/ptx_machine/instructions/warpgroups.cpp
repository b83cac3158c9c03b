// wgmma: products of tiles in shared memory by four warps. A warp computes its 16 of the 64 rows
// when it waits for them, as late as can be, so that a tile that is overwritten too early or sums
// that are read too early show.
#include <cstring>

#include "execution/block.h"
#include "instructions/decoding.h"
#include "instructions/elements.h"

namespace ptx_machine {
namespace {

constexpr int kRowsOfWarp = 16, kLineBytes = 128;

// A matrix descriptor: bits 0 to 13, 16 to 29 and 32 to 45 are the first address, the leading and
// the stride offset in units of 16 bytes, bits 62 and 63 the swizzle (1: of 128 bytes).
class Tile {
 public:
  Tile(Block& block, uint64_t descriptor, bool is_across)
      : block_(block),
        first_((descriptor & 0x3fff) << 4),
        leading_((descriptor >> 16 & 0x3fff) << 4),
        stride_((descriptor >> 32 & 0x3fff) << 4),
        is_across_(is_across) {
    if (descriptor >> 62 != 1) throw std::runtime_error("wgmma: only the swizzle of 128 bytes");
    if (descriptor >> 49 & 7) throw std::runtime_error("wgmma: a tile's base offset is not 0");
  }

  // Of row (or column) `line` and depth `depth`, both counted in elements.
  template <typename Element>
  float at(int line, int depth) const {
    constexpr int kPerLine = kLineBytes / Element::kBytes;
    const uint64_t offset =
        is_across_
            ? static_cast<uint64_t>(line / kPerLine) * leading_ +
                  static_cast<uint64_t>(depth / 8) * stride_ +
                  static_cast<uint64_t>(depth % 8 * kLineBytes + line % kPerLine * Element::kBytes)
            : static_cast<uint64_t>(line / 8) * stride_ +
                  static_cast<uint64_t>(line % 8 * kLineBytes + depth * Element::kBytes);
    const uint64_t straight = first_ + offset;
    const uint64_t address = straight ^ ((straight >> 7 & 7) << 4);
    uint32_t word = 0;
    std::memcpy(&word, block_.shared(address, Element::kBytes), Element::kBytes);
    return Element::value(word, 0);
  }

 private:
  Block& block_;
  uint64_t first_, leading_, stride_;
  bool is_across_;
};

// operands: 0 and 1 the descriptors, 2 the predicate; immediate: 1 that A, 2 that B lies across.
template <typename Element>
void compute(Warp& warp, const PendingProduct& product) {
  constexpr int kDepth = 32 / Element::kBytes;
  const Instruction& instruction = *product.instruction;
  const int columns = static_cast<int>(instruction.list.size()) * 2;
  const int first_row = warp.index % 4 * kRowsOfWarp;
  const Tile a(warp.block, product.a, instruction.immediate & 1);
  const Tile b(warp.block, product.b, instruction.immediate & 2);
  float rows[kRowsOfWarp][kDepth], line[kDepth];
  for (int row = 0; row < kRowsOfWarp; ++row)
    for (int k = 0; k < kDepth; ++k) rows[row][k] = a.at<Element>(first_row + row, k);
  for (int column = 0; column < columns; ++column) {
    for (int k = 0; k < kDepth; ++k) line[k] = b.at<Element>(column, k);
    for (int row = 0; row < kRowsOfWarp; ++row) {
      const int lane = row % 8 * 4 + column % 8 / 2;
      const int which = column / 8 * 4 + (row / 8) * 2 + column % 2;
      float& to = warp.lanes<float>(instruction.list[static_cast<size_t>(which)])[lane];
      float sum = product.accumulates ? to : 0.0f;
      for (int k = 0; k < kDepth; ++k) sum += rows[row][k] * line[k];
      to = sum;
    }
  }
}

template <typename Element>
void multiply_later(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  require_all(lanes);
  if (warp.index / 4 * 4 + 4 > warp.block.warp_count())
    throw std::runtime_error("wgmma: the four warps of a warpgroup are not there");
  const auto a = warp.lanes<uint64_t>(instruction.operands[0]);
  const auto b = warp.lanes<uint64_t>(instruction.operands[1]);
  const LaneMask accumulates = warp.mask(instruction.operands[2]);
  if (accumulates != 0 && accumulates != kAllLanes)
    throw std::runtime_error("wgmma: threads disagree whether to add");
  for (int lane = 1; lane < kLanes; ++lane)
    if (a[lane] != a[0] || b[lane] != b[0])
      throw std::runtime_error("wgmma: threads have different descriptors");
  ++warp.begun_products;
  warp.products.push_back({warp.product_group, &instruction, a[0], b[0], accumulates != 0});
}

void compute_pending(Warp& warp, int64_t newest_left) {
  size_t done = 0;
  while (done < warp.products.size() &&
         warp.products[done].group < warp.product_group - newest_left) {
    const PendingProduct& product = warp.products[done++];
    if (product.instruction->execute == multiply_later<Tf32Element>)
      compute<Tf32Element>(warp, product);
    else
      compute<Bfloat16Element>(warp, product);
  }
  warp.products.erase(warp.products.begin(), warp.products.begin() + static_cast<ptrdiff_t>(done));
}

// wgmma.mma_async {sums}, a, b, add, sign of a, sign of b [, a across, b across]
void decode_product(Assembler& assembler, const Statement& statement, const Parts& parts,
                    Instruction& instruction) {
  instruction.list = assembler.values(statement.arguments.at(0), 4);
  instruction.operands[0] = assembler.value(statement.arguments.at(1), 8);
  instruction.operands[1] = assembler.value(statement.arguments.at(2), 8);
  instruction.operands[2] = assembler.predicate(statement.arguments.at(3));
  const auto option = [&](size_t i) { return statement.arguments.at(i).number; };
  if (option(4) != 1 || option(5) != 1) throw std::runtime_error("wgmma: no negated operands");
  instruction.is_product = true;
  const bool is_bfloat16 = parts.back() == "bf16";
  if (is_bfloat16) instruction.immediate = static_cast<int64_t>(option(6) | option(7) << 1);
  const std::string shape =
      "m64n" + std::to_string(instruction.list.size() * 2) + (is_bfloat16 ? "k16" : "k8");
  if (!has(parts, shape)) throw std::runtime_error("wgmma: another number of registers");
  allow(parts, {"mma_async", "sync", "aligned", shape, "f32"}, 2);
  const std::string_view type = is_bfloat16 ? "bf16" : "tf32";
  if (parts.back() != type || parts.at(parts.size() - 2) != type || !has(parts, "f32") ||
      statement.arguments.size() != (is_bfloat16 ? 8 : 6))
    throw std::runtime_error("wgmma: no such product");
  instruction.execute = is_bfloat16 ? multiply_later<Bfloat16Element> : multiply_later<Tf32Element>;
}

void decode_warpgroup(Assembler& assembler, const Statement& statement, const Parts& parts,
                      Instruction& instruction) {
  instruction.flow = Flow::kTogether;
  if (parts.at(1) == "mma_async") {
    decode_product(assembler, statement, parts, instruction);
  } else if (parts[1] == "commit_group") {
    instruction.execute = [](Warp& warp, const Instruction&, LaneMask lanes) {
      require_all(lanes);
      ++warp.product_group;
    };
  } else if (parts[1] == "wait_group") {
    instruction.immediate = static_cast<int64_t>(statement.arguments.at(0).number);
    instruction.execute = [](Warp& warp, const Instruction& wait, LaneMask lanes) {
      require_all(lanes);
      compute_pending(warp, wait.immediate);
    };
  } else if (parts[1] == "fence") {
    // Registers are read when products are computed: the machine does not need it, nor does it
    // notice that it is missing.
    instruction.execute = [](Warp&, const Instruction&, LaneMask lanes) { require_all(lanes); };
  } else {
    throw std::runtime_error("wgmma: no such instruction");
  }
}

// Registers are not shared between warps here: nothing to do.
void decode_register_count(Assembler&, const Statement&, const Parts&, Instruction& instruction) {
  instruction.flow = Flow::kTogether;
  instruction.execute = [](Warp&, const Instruction&, LaneMask lanes) { require_all(lanes); };
}

}  // namespace

void add_warpgroup_decoders(Decoders& decoders) {
  decoders["wgmma"] = decode_warpgroup;
  decoders["setmaxnreg"] = decode_register_count;
}

}  // namespace ptx_machine
