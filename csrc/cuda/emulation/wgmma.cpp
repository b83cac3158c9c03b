#include "cuda/emulation/wgmma.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "cuda/emulation/block.h"

namespace neurona::emulation {
namespace {

constexpr int kRowsOfWarp = 16, kProductBytes = 32, kMostColumns = 256;

// A warp's threads all come to the same place.
void converge(const Site& site) {
  block().exchange(site, 0xffffffffu, nullptr, [](uint32_t, void* const*) {});
}

struct Offer {
  const Site* site;
  TileProduct product;
};

// The fields of a descriptor (PTX, "matrix descriptor"), of which the kernels use this much.
struct Tile {
  size_t start;    // of the first 8 lines
  size_t stride;   // from 8 lines to the next
  size_t leading;  // across the depth: from 64 rows or columns to the next
  bool is_across;
  const char* problem = nullptr;

  Tile(uint64_t descriptor, bool across)
      : start(field(descriptor, 0)),
        stride(field(descriptor, 32)),
        leading(field(descriptor, 16)),
        is_across(across) {
    constexpr uint64_t kSwizzle128 = 1;
    const size_t first_line = is_across ? 16 : 128;  // within the 1024 bytes that are swizzled
    if (descriptor >> 62 != kSwizzle128)
      problem = "only tiles with the 128-byte swizzle are emulated";
    else if (start % 1024 >= first_line || (descriptor >> 49 & 7) != 0)
      problem = "a swizzled tile of wgmma must begin at a multiple of 1024 bytes";
    else if (start % kProductBytes != 0)
      problem = "a product of wgmma begins at a multiple of 32 bytes along the depth";
  }

  // The 16 bytes that hold a row's or column's element, or the first of several; what lies at an
  // address depends on its bits alone.
  const unsigned char* chunk(int line, int offset) const {
    const size_t plain = start + line / 8 * stride + line % 8 * size_t{128} + offset;
    return swizzled(plain);
  }
  const unsigned char* chunk_across(int line, int depth) const {
    const size_t plain = start + line / 64 * leading + depth / 8 * stride +
                         depth % 8 * size_t{128} + line % 64 / 8 * size_t{16};
    return swizzled(plain);
  }

 private:
  static size_t field(uint64_t descriptor, int bit) { return (descriptor >> bit & 0x3fff) << 4; }
  static const unsigned char* swizzled(size_t plain) {
    return block().shared.at(plain ^ (plain >> 7 & 7) << 4);
  }
};

constexpr const char* kBeyond = "a tile of wgmma lies beyond shared memory";

float from_bfloat16(const unsigned char* element) {
  uint16_t bits;
  std::memcpy(&bits, element, sizeof bits);
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

// Reads lines of `depth` elements to values[k][line], `pitch` apart; null or what is wrong.
const char* read_along(const Tile& tile, bool is_bfloat16, int first, int lines, float* values,
                       int pitch) {
  for (int line = 0; line < lines; ++line)
    for (int half = 0; half < 2; ++half) {
      const unsigned char* chunk = tile.chunk(first + line, 16 * half);
      if (!chunk) return kBeyond;
      if (is_bfloat16) {
        for (int i = 0; i < 8; ++i)
          values[(8 * half + i) * pitch + line] = from_bfloat16(chunk + 2 * i);
      } else {  // the last 13 bits are not looked at
        uint32_t elements[4];
        std::memcpy(elements, chunk, sizeof elements);
        for (int i = 0; i < 4; ++i)
          values[(4 * half + i) * pitch + line] = std::bit_cast<float>(elements[i] & 0xffffe000u);
      }
    }
  return nullptr;
}

const char* read_across(const Tile& tile, int first, int lines, float* values, int pitch) {
  for (int depth = 0; depth < 16; ++depth)
    for (int line = 0; line < lines; line += 8) {
      const unsigned char* chunk = tile.chunk_across(first + line, depth);
      if (!chunk) return kBeyond;
      for (int i = 0; i < 8; ++i) values[depth * pitch + line + i] = from_bfloat16(chunk + 2 * i);
    }
  return nullptr;
}

const char* read(const Tile& tile, bool is_bfloat16, int first, int lines, float* values,
                 int pitch) {
  if (tile.problem) return tile.problem;
  return tile.is_across ? read_across(tile, first, lines, values, pitch)
                        : read_along(tile, is_bfloat16, first, lines, values, pitch);
}

// Where the sum of (row, column) of a warp's 16 rows is: as for mma.sync in each 8 columns.
int lane_of(int row, int column) { return row % 8 * 4 + column % 8 / 2; }
int index_of(int row, int column) { return column / 8 * 4 + row / 8 * 2 + column % 2; }

}  // namespace

void Wgmma::begin_block(size_t warps) { warps_.assign(warps, Warp{}); }

void Wgmma::fence(const Site& site) {
  converge(site);
  warps_[block().warp()].is_fenced = true;
}

void Wgmma::multiply(const Site& site, const TileProduct& product) {
  Offer own{&site, product};
  block().meet(site, &own, [](size_t first, void* const* offers) {
    Wgmma& wgmma = block().wgmma;
    const TileProduct* products[kWarpgroup];
    const Site& here = *static_cast<const Offer*>(offers[0])->site;
    for (int i = 0; i < kWarpgroup; ++i) {
      products[i] = &static_cast<const Offer*>(offers[i])->product;
      if (products[i]->a != products[0]->a || products[i]->b != products[0]->b ||
          products[i]->accumulate != products[0]->accumulate)
        block().fail(here, "threads of the warpgroup name different tiles");
    }
    for (int i = 0; i < kWarpgroup; i += kWarp)
      wgmma.start(here, wgmma.warps_[(first + i) / kWarp], products + i);
  });
}

// Takes the sums from the threads, unless an earlier product has them.
void Wgmma::start(const Site& site, Warp& warp, const TileProduct* const* of_lanes) {
  const TileProduct& product = *of_lanes[0];
  const auto found = std::find_if(warp.sums.begin(), warp.sums.end(),
                                  [&](const Sums& sums) { return sums.d[0] == product.d; });
  if (found == warp.sums.end()) {
    if (!warp.is_fenced) block().fail(site, "no wgmma.fence since the sums were last touched");
    const size_t count = product.columns / 2;
    Sums sums{{}, std::vector<float>(kWarp * count)};
    for (int lane = 0; lane < kWarp; ++lane) {
      sums.d[lane] = of_lanes[lane]->d;
      std::copy_n(sums.d[lane], count, &sums.values[lane * count]);
      std::fill_n(sums.d[lane], count, NAN);
    }
    warp.sums.push_back(std::move(sums));
  }
  warp.open.push_back(product);
}

void Wgmma::commit(const Site& site) {
  converge(site);
  if (block().is_first_lane()) {
    Warp& warp = warps_[block().warp()];
    warp.committed.push_back(std::move(warp.open));
    warp.open.clear();
  }
  converge(site);
}

void Wgmma::wait(const Site& site, size_t groups_left) {
  converge(site);
  if (block().is_first_lane()) {
    const size_t number = block().warp();
    Warp& warp = warps_[number];
    for (; warp.committed.size() > groups_left; warp.committed.pop_front())
      for (const TileProduct& product : warp.committed.front())
        compute(site, warp, static_cast<int>(number % 4) * kRowsOfWarp, product);
    give_back(warp);
    warp.is_fenced = false;
  }
  converge(site);
}

void Wgmma::compute(const Site& site, Warp& warp, int first_row, const TileProduct& product) {
  static float left[16][kRowsOfWarp], right[16][kMostColumns], sums[kMostColumns];
  const int depth = kProductBytes / (product.is_bfloat16 ? 2 : 4);
  const Tile a(product.a, product.is_across), b(product.b, product.is_across);
  const char* problem = read(a, product.is_bfloat16, first_row, kRowsOfWarp, left[0], kRowsOfWarp);
  if (!problem) problem = read(b, product.is_bfloat16, 0, product.columns, right[0], kMostColumns);
  if (problem) block().fail(site, problem);
  const auto taken = std::find_if(warp.sums.begin(), warp.sums.end(),
                                  [&](const Sums& sums) { return sums.d[0] == product.d; });
  float* values = taken->values.data();
  for (int row = 0; row < kRowsOfWarp; ++row) {
    const auto place = [&](int column) {
      return values + lane_of(row, column) * product.columns / 2 + index_of(row, column);
    };
    std::fill_n(sums, product.columns, 0.0f);
    for (int k = 0; k < depth; ++k)  // products of so few bits are exact
      for (int column = 0; column < product.columns; ++column)
        sums[column] += left[k][row] * right[k][column];
    for (int column = 0; column < product.columns; ++column)
      *place(column) = product.accumulate ? *place(column) + sums[column] : sums[column];
  }
}

// Sums of which no product is under way go back to their threads.
void Wgmma::give_back(Warp& warp) {
  const auto is_under_way = [&](const Sums& sums) {
    const auto has_them = [&](const TileProduct& product) { return product.d == sums.d[0]; };
    return std::any_of(warp.open.begin(), warp.open.end(), has_them) ||
           std::any_of(warp.committed.begin(), warp.committed.end(), [&](const auto& group) {
             return std::any_of(group.begin(), group.end(), has_them);
           });
  };
  for (size_t i = warp.sums.size(); i-- > 0;) {
    const Sums& sums = warp.sums[i];
    if (is_under_way(sums)) continue;
    const size_t count = sums.values.size() / kWarp;
    for (int lane = 0; lane < kWarp; ++lane)
      std::copy_n(&sums.values[lane * count], count, sums.d[lane]);
    warp.sums.erase(warp.sums.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace neurona::emulation
