#include "cuda/emulation/tensor_map.h"

#include <bit>
#include <cstring>
#include <stdexcept>

#include "cuda/emulation/block.h"
#include "cuda/emulation/cluster.h"

namespace neurona {
namespace {

// What a map holds: its kind in the last word, and what it describes.
enum class Kind : uint64_t { kLines = 1, kPatches = 2 };

template <typename Described>
TensorMap holding(Kind kind, const Described& described) {
  TensorMap map{};
  static_assert(sizeof described <= sizeof map - sizeof(uint64_t));
  std::memcpy(&map, &described, sizeof described);
  map.words[15] = static_cast<uint64_t>(kind);
  return map;
}

template <typename Described>
Described held(const emulation::Site& site, const TensorMap& map, Kind kind) {
  if (map.words[15] != static_cast<uint64_t>(kind))
    emulation::block().fail(site, "the tensor map is not one for this kind of load");
  Described described;
  std::memcpy(static_cast<void*>(&described), &map, sizeof described);
  return described;
}

[[noreturn]] void refuse() { throw std::runtime_error("tensor map: the driver refuses it"); }

constexpr int64_t kMostExtent = int64_t{1} << 32, kMostStride = int64_t{1} << 40;
bool is_extent(int64_t extent) { return extent > 0 && extent <= kMostExtent; }
bool is_stride(int64_t bytes) { return bytes % 16 == 0 && bytes < kMostStride; }
bool is_aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

// Copies a line of a tile element by element, each to its swizzled address; from(element) is where
// it comes from, or null where there is a zero.
template <typename From>
void copy_line(unsigned char* tile, int line, int bytes, const From& from) {
  for (int offset = 0; offset < kTileLineBytes; offset += bytes) {
    const auto plain = reinterpret_cast<uintptr_t>(tile + line * kTileLineBytes + offset);
    auto* to = reinterpret_cast<unsigned char*>(plain ^ (plain >> 7 & 7) << 4);
    if (const void* element = from(offset / bytes))
      std::memcpy(to, element, bytes);
    else
      std::memset(to, 0, bytes);
  }
}

void copy_tile(const MappedLines& map, int64_t first_depth, int64_t first_line, int64_t batch,
               unsigned char* tile) {
  const int bytes = element_bytes(map.element);
  for (int i = 0; i < map.tile_lines; ++i)
    copy_line(tile, i, bytes, [&](int element) -> const void* {
      const int64_t depth = first_depth + element, line = first_line + i;
      const bool inside = depth >= 0 && depth < map.depth && line >= 0 && line < map.lines &&
                          batch >= 0 && batch < map.batches;
      if (!inside) return nullptr;
      return static_cast<const char*>(map.data) + (batch * map.lines + line) * map.line_bytes +
             depth * bytes;
    });
}

void copy_patches(const MappedPatches& map, emulation::PatchPlace at, unsigned char* tile) {
  const int bytes = element_bytes(map.element);
  const auto end = [&](int axis) {
    return map.first[axis] + (map.count[axis] - 1) * map.stride[axis];
  };
  for (int i = 0; i < map.tile_lines; ++i) {
    const int64_t h = at.h + at.offset_h, w = at.w + at.offset_w;
    const bool inside = h >= 0 && h < map.height && w >= 0 && w < map.width && at.image >= 0 &&
                        at.image < map.images;
    copy_line(tile, i, bytes, [&](int element) -> const void* {
      const int64_t channel = at.channel + element;
      if (!inside || channel < 0 || channel >= map.channels) return nullptr;
      return static_cast<const char*>(map.data) +
             ((at.image * map.height + h) * map.width + w) * map.pixel_bytes + channel * bytes;
    });
    at.w += map.stride[1];
    if (at.w <= end(1)) continue;
    at.w = map.first[1];
    at.h += map.stride[0];
    if (at.h <= end(0)) continue;
    at.h = map.first[0];
    ++at.image;
  }
}

// Where a tile of the running thread's block lies in the shared memory of a block, poisoned until
// its bytes come.
unsigned char* place_in(emulation::Block& there, const emulation::Site& site, const void* tile,
                        size_t bytes) {
  constexpr uintptr_t kSwizzledBytes = 1024;
  emulation::Block& here = emulation::block();
  if (reinterpret_cast<uintptr_t>(tile) % kSwizzledBytes != 0)
    here.fail(site, "a swizzled tile must begin at a multiple of 1024 bytes");
  if (!here.shared.holds(tile, bytes)) here.fail(site, "the tile does not lie in a shared array");
  unsigned char* place = there.shared.at(here.shared.address(tile));
  std::memset(place, emulation::kUnset, bytes);
  return place;
}

}  // namespace

TensorMap make_tensor_map(const MappedLines& lines) {
  if (!is_extent(lines.depth) || !is_extent(lines.lines) || !is_extent(lines.batches) ||
      !is_stride(lines.line_bytes) || !is_stride(lines.line_bytes * lines.lines) ||
      !is_aligned(lines.data) || lines.tile_lines > 256)
    refuse();
  return holding(Kind::kLines, lines);
}

TensorMap make_tensor_map(const MappedPatches& patches) {
  const int64_t row_bytes = patches.pixel_bytes * patches.width;
  if (!is_extent(patches.channels) || !is_extent(patches.width) || !is_extent(patches.height) ||
      !is_extent(patches.images) || !is_stride(patches.pixel_bytes) || !is_stride(row_bytes) ||
      !is_stride(row_bytes * patches.height) || !is_aligned(patches.data) ||
      patches.tile_lines > 1024)
    refuse();
  for (int axis = 0; axis < 2; ++axis) {
    const int64_t extent = axis == 0 ? patches.height : patches.width;
    const int64_t upper =
        upper_corner(patches.first[axis], patches.count[axis], patches.stride[axis], extent);
    if (patches.count[axis] < 1 || patches.stride[axis] < 1 ||
        patches.stride[axis] > kMostPatchStride || patches.first[axis] < kLeastCorner ||
        patches.first[axis] > kMostCorner || upper < kLeastCorner || upper > kMostCorner)
      refuse();
  }
  return holding(Kind::kPatches, patches);
}

namespace emulation {

void load_tile(const Site& site, const TensorMap& map, uint64_t* barrier, void* tile, int depth,
               int line, int batch) {
  load_tile_for(site, 1u << cluster_rank(), map, barrier, tile, depth, line, batch);
}

void load_tile_for(const Site& site, unsigned ranks, const TensorMap& map, uint64_t* barrier,
                   void* tile, int depth, int line, int batch) {
  const auto lines = held<MappedLines>(site, map, Kind::kLines);
  const size_t bytes = static_cast<size_t>(lines.tile_lines) * kTileLineBytes;
  if (ranks == 0) block().fail(site, "the set of blocks is empty");
  for (unsigned left = ranks; left; left &= left - 1) {
    const auto rank = static_cast<unsigned>(std::countr_zero(left));
    const Cluster::Reached there = cluster().reach(site, rank, barrier);
    unsigned char* to = place_in(there.block, site, tile, bytes);
    cluster().start(site, there, bytes, [=] { copy_tile(lines, depth, line, batch, to); });
  }
}

void load_patches(const Site& site, const TensorMap& map, uint64_t* barrier, void* tile,
                  const PatchPlace& place) {
  const auto patches = held<MappedPatches>(site, map, Kind::kPatches);
  const int pixel[2] = {place.h, place.w};
  for (int axis = 0; axis < 2; ++axis) {
    const int steps = pixel[axis] - patches.first[axis];
    if (steps < 0 || steps % patches.stride[axis] != 0 ||
        steps / patches.stride[axis] >= patches.count[axis])
      block().fail(site, "the first pixel is none of those that the map numbers");
  }
  if (place.offset_w < 0 || place.offset_w > kMostPatchOffset || place.offset_h < 0 ||
      place.offset_h > kMostPatchOffset)
    block().fail(site, "a patch is read 0 to 254 beside its pixel");
  const size_t bytes = static_cast<size_t>(patches.tile_lines) * kTileLineBytes;
  unsigned char* to = place_in(block(), site, tile, bytes);
  cluster().start(site, cluster().reach(site, cluster_rank(), barrier), bytes,
                  [=] { copy_patches(patches, place, to); });
}

}  // namespace emulation
}  // namespace neurona
