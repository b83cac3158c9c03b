// Launches: all clusters of a grid, one after the other.
#include "program/kernel.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#include "execution/cluster.h"
#include "execution/counters.h"
#include "program/module.h"

namespace ptx_machine {

namespace {

bool is_reversed() {
  const char* order = std::getenv("NEURONA_PTX_MACHINE_ORDER");
  if (!order || std::strcmp(order, "forward") == 0) return false;
  if (std::strcmp(order, "reverse") == 0) return true;
  throw std::runtime_error("NEURONA_PTX_MACHINE_ORDER is forward or reverse");
}

}  // namespace

std::shared_ptr<Module> parse_module(std::string_view text) {
  return std::make_shared<Module>(text);
}

const Kernel* find_kernel(const Module& module, std::string_view name) {
  return module.kernel(name);
}

const std::vector<Parameter>& parameters_of(const Kernel& kernel) { return kernel.parameters; }

Limits limits_of(const Kernel& kernel) { return kernel.limits; }

bool are_whole_clusters(const Dimensions& blocks, unsigned cluster_blocks) {
  constexpr unsigned kMostBlocks = 8;
  return cluster_blocks > 0 && cluster_blocks <= kMostBlocks && blocks.x % cluster_blocks == 0;
}

namespace {

void run_grid(const Grid& grid) {
  const unsigned in_row = grid.blocks.x / grid.cluster_blocks, rows = grid.blocks.y;
  const uint64_t count = uint64_t{in_row} * rows * grid.blocks.z;
  Cluster cluster(grid);
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t which = grid.is_reversed ? count - 1 - i : i;
    cluster.run({static_cast<unsigned>(which % in_row) * grid.cluster_blocks,
                 static_cast<unsigned>(which / in_row % rows),
                 static_cast<unsigned>(which / in_row / rows)});
  }
}

}  // namespace

void run_kernel(const Kernel& kernel, const KernelLaunch& launch,
                const std::vector<unsigned char>& arguments) {
  // Tensor maps among the arguments lie at multiples of 128, as in the device's constant memory.
  constexpr std::align_val_t kAlignment{128};
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> copy(
      static_cast<unsigned char*>(::operator new(arguments.size() + 1, kAlignment)),
      [](unsigned char* memory) { ::operator delete(memory, kAlignment); });
  std::copy(arguments.begin(), arguments.end(), copy.get());
  const size_t shared_bytes = kernel.dynamic_first + launch.dynamic_shared;
  if (shared_bytes > launch.shared_limit)
    throw std::runtime_error(kernel.name + ": too much shared memory for a block");
  if (!are_whole_clusters(launch.blocks, launch.cluster_blocks))
    throw std::runtime_error(kernel.name + ": the grid has no such clusters");
  Counters counters;
  const Grid grid{&kernel,          launch.blocks,
                  launch.threads,   launch.cluster_blocks,
                  shared_bytes,     copy.get(),
                  arguments.size(), launch.overlaps,
                  is_reversed(),    counts_file() ? &counters : nullptr};
  run_grid(grid);
  if (grid.counters) counters.write(counts_file(), kernel, launch);
}

}  // namespace ptx_machine
