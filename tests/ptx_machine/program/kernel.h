// Kernels as the runtime knows them: parsed from a PTX text, asked for what a launch must know of
// them, and run.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace ptx_machine {

// Where an argument lies among the bytes of all arguments.
struct Parameter {
  size_t offset, bytes;
};

// What a kernel declares of its blocks.
struct Limits {
  unsigned max_threads;  // .maxntid; 1024 where it says nothing
  size_t static_shared;  // bytes
};

struct Dimensions {
  unsigned x, y, z;
};

struct Kernel;
class Module;  // the kernels of one PTX text

// std::runtime_error with the line of what it does not understand.
std::shared_ptr<Module> parse_module(std::string_view text);

// Null if the text has none of this name. It lives as long as the module.
const Kernel* find_kernel(const Module& module, std::string_view name);

const std::vector<Parameter>& parameters_of(const Kernel& kernel);
Limits limits_of(const Kernel& kernel);

struct KernelLaunch {
  Dimensions blocks, threads;
  size_t dynamic_shared;    // bytes
  size_t shared_limit;      // of what a block may have in all
  bool overlaps;            // may begin before the kernel before has ended, so that it must wait
  unsigned cluster_blocks;  // neighbours along x that run at once; 1 without clusters
};

// Whether the blocks are whole clusters, of a size that every device with clusters has.
bool are_whole_clusters(const Dimensions& blocks, unsigned cluster_blocks);

// All blocks, until the last one has ended. With NEURONA_PTX_MACHINE_ORDER=reverse the last cluster
// comes first, and the last block and warp of each. std::runtime_error with block, warp and line
// for what would fail on a GPU.
void run_kernel(const Kernel& kernel, const KernelLaunch& launch,
                const std::vector<unsigned char>& arguments);

}  // namespace ptx_machine
