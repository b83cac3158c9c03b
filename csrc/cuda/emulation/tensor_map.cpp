#include "cuda/emulation/tensor_map.h"

#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "cuda/emulation/block.h"

namespace neurona {
namespace {

using Place = int64_t[3];

// Copies the tile element by element, each to its swizzled address.
void copy_tile(const MappedLines& map, const Place& first, unsigned char* tile) {
  const int bytes = element_bytes(map.element);
  for (int i = 0; i < map.tile_lines; ++i)
    for (int offset = 0; offset < kTileLineBytes; offset += bytes) {
      const int64_t depth = first[0] + offset / bytes, line = first[1] + i, batch = first[2];
      const bool inside = depth >= 0 && depth < map.depth && line >= 0 && line < map.lines &&
                          batch >= 0 && batch < map.batches;
      const int64_t from = (batch * map.lines + line) * map.line_bytes + depth * bytes;
      const auto plain = reinterpret_cast<uintptr_t>(tile + i * kTileLineBytes + offset);
      auto* to = reinterpret_cast<unsigned char*>(plain ^ (plain >> 7 & 7) << 4);
      if (inside)
        std::memcpy(to, static_cast<const unsigned char*>(map.data) + from, bytes);
      else
        std::memset(to, 0, bytes);
    }
}

}  // namespace

TensorMap make_tensor_map(const MappedLines& lines) {
  constexpr int64_t kMostExtent = int64_t{1} << 32, kMostStride = int64_t{1} << 40;
  const auto is_extent = [](int64_t extent) { return extent > 0 && extent <= kMostExtent; };
  if (!is_extent(lines.depth) || !is_extent(lines.lines) || !is_extent(lines.batches) ||
      lines.line_bytes % 16 != 0 || lines.line_bytes * lines.lines >= kMostStride ||
      reinterpret_cast<uintptr_t>(lines.data) % 16 != 0 || lines.tile_lines > 256)
    throw std::runtime_error("tensor map: the driver refuses it");
  TensorMap map{};
  static_assert(sizeof lines <= sizeof map &&
                std::has_unique_object_representations_v<MappedLines>);
  std::memcpy(&map, &lines, sizeof lines);
  return map;
}

namespace emulation {

void load_tile(const Site& site, const TensorMap& map, uint64_t* barrier, void* tile, int depth,
               int line, int batch) {
  constexpr uintptr_t kSwizzledBytes = 1024;
  MappedLines lines;
  std::memcpy(static_cast<void*>(&lines), &map, sizeof lines);
  auto* to = static_cast<unsigned char*>(tile);
  const size_t bytes = static_cast<size_t>(lines.tile_lines) * kTileLineBytes;
  Block& here = block();
  if (reinterpret_cast<uintptr_t>(tile) % kSwizzledBytes != 0)
    here.fail(site, "a swizzled tile must begin at a multiple of 1024 bytes");
  if (!here.shared.holds(to, bytes)) here.fail(site, "the tile does not lie in a shared array");
  std::memset(to, kUnset, bytes);
  here.mbarriers.start(site, barrier, bytes, [=] { copy_tile(lines, {depth, line, batch}, to); });
}

}  // namespace emulation
}  // namespace neurona
