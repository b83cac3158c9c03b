#include "runtime/kernel_work.h"

#include <cstring>

#include "runtime/answer.h"
#include "runtime/device.h"

namespace ptx_machine {
namespace {

Dimensions dimensions(const dim3& extents) { return {extents.x, extents.y, extents.z}; }

void check_grid(const std::string& kernel, const dim3& grid) {
  constexpr unsigned kMostWide = 0x7fffffff, kMostHigh = 65535;
  const bool is_empty = grid.x == 0 || grid.y == 0 || grid.z == 0;
  if (is_empty || grid.x > kMostWide || grid.y > kMostHigh || grid.z > kMostHigh)
    throw Refusal(cudaErrorInvalidConfiguration, kernel + ": no grid has this shape");
}

void check_block(const std::string& kernel, const dim3& block, unsigned most_of_kernel) {
  constexpr unsigned kMostDeep = 64;
  const bool is_empty = block.x == 0 || block.y == 0 || block.z == 0;
  if (is_empty || block.x > kMostThreads || block.y > kMostThreads || block.z > kMostDeep ||
      block.x * block.y * block.z > kMostThreads)
    throw Refusal(cudaErrorInvalidConfiguration, kernel + ": no block has this shape");
  if (block.x * block.y * block.z > most_of_kernel)
    throw Refusal(cudaErrorInvalidValue, kernel + ": more threads than its launch bounds");
}

void check_cluster(const std::string& kernel, const Shape& shape) {
  const auto [x, y, z] = shape.cluster;
  const bool is_empty = x == 0 || y == 0 || z == 0;
  if (!is_empty && (y > 1 || z > 1))
    throw Refusal(cudaErrorNotSupported, kernel + ": only clusters along x are supported");
  if (is_empty || !are_whole_clusters(dimensions(shape.grid), x))
    throw Refusal(cudaErrorInvalidClusterSize, kernel + ": the grid has no such clusters");
}

void check_shape(Function& function, const Shape& shape) {
  const std::string kernel = function.readable_name();
  check_grid(kernel, shape.grid);
  check_block(kernel, shape.block, limits_of(function.kernel()).max_threads);
  check_cluster(kernel, shape);
  if (shape.dynamic_shared > function.most_dynamic_shared())
    throw Refusal(cudaErrorInvalidValue,
                  kernel + ": more dynamic shared memory than it was allowed");
}

std::vector<unsigned char> copied_arguments(const Kernel& kernel, void** arguments) {
  std::vector<unsigned char> bytes;
  const auto& parameters = parameters_of(kernel);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto [offset, count] = parameters[i];
    if (bytes.size() < offset + count) bytes.resize(offset + count);
    std::memcpy(bytes.data() + offset, arguments[i], count);
  }
  return bytes;
}

}  // namespace

KernelWork::KernelWork(const void* host_function, const Shape& shape, void** arguments)
    : shape_(shape) {
  Function& function = function_of(host_function);
  check_shape(function, shape);
  kernel_ = &function.kernel();
  name_ = function.readable_name();
  binary_ = function.binary();
  arguments_ = copied_arguments(*kernel_, arguments);
}

void KernelWork::operator()() const {
  try {
    run_kernel(*kernel_,
               {dimensions(shape_.grid), dimensions(shape_.block), shape_.dynamic_shared,
                most_shared(), shape_.overlaps, shape_.cluster.x},
               arguments_);
  } catch (const std::exception& failure) {
    throw Fault(name_ + ": " + failure.what());
  }
}

}  // namespace ptx_machine
