#include "instructions/tile_load.h"

#include <array>
#include <cstring>

#include "execution/cluster.h"
#include "runtime/tensor_map.h"

namespace ptx_machine {
namespace {

// A load, as a thread asked for it.
struct Request {
  TensorMapView map;
  size_t element_bytes;
  std::array<int32_t, kMostAxes> first{};  // of each axis, the innermost first
  std::array<int32_t, 3> beside{};         // im2col: how far from their pixels lines are read
  uint32_t tile;                           // a shared address
};

bool is_inside(const TensorMapView& map, const std::array<int64_t, kMostAxes>& at) {
  for (unsigned axis = 0; axis < map.rank; ++axis)
    if (at[axis] < 0 || at[axis] >= static_cast<int64_t>(map.extents[axis])) return false;
  return true;
}

// Groups of 16 bytes are swapped: bits 4 to 6 of an address exclusive or bits 7 to 9.
uint32_t swizzled(uint32_t address) { return address ^ ((address >> 7 & 7) << 4); }

// One element to its place in the tile; zero if it lies outside of the tensor.
void load_element(Block& block, const Request& request, const std::array<int64_t, kMostAxes>& at,
                  size_t offset) {
  const TensorMapView& map = request.map;
  const auto straight = request.tile + static_cast<uint32_t>(offset);
  unsigned char* to = block.shared(swizzled(straight), request.element_bytes);
  if (!is_inside(map, at)) {
    std::memset(to, 0, request.element_bytes);
    return;
  }
  uint64_t address = map.address + static_cast<uint64_t>(at[0]) * request.element_bytes;
  for (unsigned axis = 1; axis < map.rank; ++axis)
    address += static_cast<uint64_t>(at[axis]) * map.stride_bytes[axis];
  std::memcpy(to, block.global(address, request.element_bytes), request.element_bytes);
}

// A box of the tensor; the innermost axis first. Of its extent along an axis, those elements are
// loaded that lie a step apart.
size_t load_box(Block& block, const Request& request) {
  const TensorMapView& map = request.map;
  std::array<size_t, kMostAxes> counts{};
  size_t count = 1;
  for (unsigned axis = 0; axis < map.rank; ++axis) {
    counts[axis] = (map.box[axis] + map.steps[axis] - 1) / map.steps[axis];
    count *= counts[axis];
  }
  for (size_t i = 0; i < count; ++i) {
    std::array<int64_t, kMostAxes> at{};
    size_t rest = i;
    for (unsigned axis = 0; axis < map.rank; ++axis) {
      at[axis] = request.first[axis] + static_cast<int64_t>(rest % counts[axis] * map.steps[axis]);
      rest /= counts[axis];
    }
    load_element(block, request, at, i * request.element_bytes);
  }
  return count * request.element_bytes;
}

// Lines of channels at pixels, which go along each row of the bounding box, then to the next row,
// then to the next image: axes 1 to rank - 2, and the images.
size_t load_pixels(Block& block, const Request& request) {
  const TensorMapView& map = request.map;
  const unsigned images = map.rank - 1;
  std::array<int64_t, kMostAxes> pixel{};
  for (unsigned axis = 1; axis < map.rank; ++axis) pixel[axis] = request.first[axis];
  for (size_t line = 0; line < map.pixels_per_column; ++line) {
    for (size_t channel = 0; channel < map.channels_per_pixel; ++channel) {
      std::array<int64_t, kMostAxes> at = pixel;
      at[0] = request.first[0] + static_cast<int64_t>(channel);
      for (unsigned axis = 1; axis < images; ++axis) at[axis] += request.beside[axis - 1];
      load_element(block, request, at,
                   (line * map.channels_per_pixel + channel) * request.element_bytes);
    }
    unsigned axis = 1;
    for (; axis < images; ++axis) {
      const int64_t last = static_cast<int64_t>(map.extents[axis]) - 1 + map.upper_corner[axis - 1];
      pixel[axis] += map.steps[axis];
      if (pixel[axis] <= last) break;
      pixel[axis] = map.lower_corner[axis - 1];
    }
    if (axis == images) ++pixel[images];
  }
  return map.pixels_per_column * map.channels_per_pixel * request.element_bytes;
}

void check_start(const Request& request) {
  const TensorMapView& map = request.map;
  if (map.swizzle != CU_TENSOR_MAP_SWIZZLE_128B)
    throw std::runtime_error("only the swizzle of 128 bytes");
  if (map.fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
    throw std::runtime_error("no tiles are filled with NaN");
  if (request.tile % 128 != 0) throw std::runtime_error("a tile begins at no multiple of 128");
  if (!map.is_im2col) return;
  for (unsigned axis = 1; axis < map.rank - 1; ++axis) {
    const int64_t last = static_cast<int64_t>(map.extents[axis]) - 1 + map.upper_corner[axis - 1];
    if (request.first[axis] < map.lower_corner[axis - 1] || request.first[axis] > last)
      throw std::runtime_error("the first pixel lies outside of the bounding box");
  }
}

// Late, to this block.
template <bool kIsIm2col>
void load_later(Block& block, uint32_t barrier, const Request& request) {
  block.load_later(barrier, [&block, request] {
    return kIsIm2col ? load_pixels(block, request) : load_box(block, request);
  });
}

// list: coordinates, then what lies beside; operands 0 the tile, 1 the map, 2 the barrier, 3 for
// which blocks of the cluster.
template <bool kIsIm2col>
void load_tile(Warp& warp, const Instruction& instruction, LaneMask lanes) {
  for_lanes(lanes, [&](int lane) {
    Request request;
    const uint64_t map = warp.lanes<uint64_t>(instruction.operands[1])[lane];
    warp.require_waited(LaneMask{1} << lane);
    request.map = decode_tensor_map(warp.block.parameter(map, 64));
    request.element_bytes = element_bytes(request.map.type);
    const auto rank = static_cast<size_t>(request.map.rank);
    const size_t beside = kIsIm2col ? rank - 2 : 0;
    if (request.map.is_im2col != kIsIm2col || instruction.list.size() != rank + beside)
      throw std::runtime_error("the tensor map is of another kind");
    for (size_t axis = 0; axis < rank; ++axis)
      request.first[axis] = warp.lanes<int32_t>(instruction.list[axis])[lane];
    for (size_t axis = 0; axis < beside; ++axis)
      request.beside[axis] = warp.lanes<uint16_t>(instruction.list[rank + axis])[lane];
    request.tile = warp.lanes<uint32_t>(instruction.operands[0])[lane];
    check_start(request);
    const uint32_t barrier = warp.lanes<uint32_t>(instruction.operands[2])[lane];
    if (instruction.operands[3] == kNoOperand)
      return load_later<kIsIm2col>(warp.block, barrier, request);
    uint32_t ranks = warp.lanes<uint16_t>(instruction.operands[3])[lane];
    if (ranks == 0) throw std::runtime_error("a load for no block of the cluster");
    for (; ranks; ranks &= ranks - 1)
      load_later<kIsIm2col>(
          warp.block.cluster().with_barrier(static_cast<uint32_t>(__builtin_ctz(ranks)), barrier),
          barrier, request);
  });
}

}  // namespace

// [tile], [map, {coordinates}], [barrier] (, {beside}) (, ranks)
void decode_tile_load(Assembler& assembler, const Statement& statement, const Parts& parts,
                      Instruction& instruction) {
  allow(parts,
        {"async", "bulk", "tensor", "2d", "3d", "4d", "5d", "shared::cluster", "global", "tile",
         "im2col", "mbarrier::complete_tx::bytes", "multicast::cluster"},
        0);
  const size_t registers[] = {4, 8, 4};
  for (size_t i = 0; i < 3; ++i) {
    Argument base;
    base.name = statement.arguments.at(i).name;
    instruction.operands[i] = assembler.value(base, registers[i]);
  }
  for (const Argument& coordinate : statement.arguments[1].items)
    instruction.list.push_back(assembler.value(coordinate, 4));
  const bool is_im2col = has(parts, "im2col");
  const bool is_for_others = has(parts, "multicast::cluster");
  if (!has(parts, "tensor") || !has(parts, "global") || (!is_im2col && !has(parts, "tile")) ||
      statement.arguments.size() != 3u + is_im2col + is_for_others)
    throw std::runtime_error("no such load");
  if (is_im2col)
    for (const Argument& beside : statement.arguments.at(3).items)
      instruction.list.push_back(assembler.value(beside, 2));
  if (is_for_others) instruction.operands[3] = assembler.value(statement.arguments.back(), 2);
  instruction.execute = is_im2col ? load_tile<true> : load_tile<false>;
}

}  // namespace ptx_machine
