#include "runtime/functions.h"

#include <cxxabi.h>

#include <cstdlib>
#include <map>

#include "runtime/answer.h"
#include "runtime/device.h"

namespace ptx_machine {
namespace {

std::map<const void*, Function>& functions() {
  static auto* instance = new std::map<const void*, Function>;
  return *instance;
}

}  // namespace

const std::shared_ptr<Module>& FatBinary::module() {
  if (module_) return module_;
  chosen_ = newest_for(texts_, ptx_machine::capability());
  if (!chosen_) throw Refusal(cudaErrorNoKernelImageForDevice);
  try {
    module_ = parse_module(chosen_->text);
  } catch (const std::runtime_error& not_understood) {
    throw Refusal(cudaErrorInvalidPtx, not_understood.what());
  }
  return module_;
}

std::string Function::readable_name() const {
  int status = 0;
  char* readable = abi::__cxa_demangle(name_.c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : name_;
  std::free(readable);
  return name;
}

const Kernel& Function::kernel() {
  if (!kernel_) kernel_ = find_kernel(*binary_->module(), name_);
  if (!kernel_) throw Refusal(cudaErrorInvalidDeviceFunction, readable_name() + ": not in the PTX");
  return *kernel_;
}

// Local memory, constants and registers are what ptxas makes, which has no part in this.
cudaFuncAttributes Function::attributes() {
  const Limits limits = limits_of(kernel());
  cudaFuncAttributes attributes{};
  attributes.sharedSizeBytes = limits.static_shared;
  attributes.maxThreadsPerBlock = static_cast<int>(limits.max_threads);
  attributes.maxDynamicSharedSizeBytes = static_cast<int>(most_dynamic_shared());
  attributes.ptxVersion = binary_->capability();
  attributes.binaryVersion = capability();
  return attributes;
}

size_t Function::most_dynamic_shared() {
  const size_t fixed = limits_of(kernel()).static_shared;
  if (is_allowed_) return allowed_dynamic_shared_;
  return fixed < kSharedWithoutAsking ? kSharedWithoutAsking - fixed : 0;
}

void Function::allow_dynamic_shared(int bytes) {
  const size_t fixed = limits_of(kernel()).static_shared;
  if (bytes < 0 || fixed + static_cast<size_t>(bytes) > most_shared())
    throw Refusal(cudaErrorInvalidValue,
                  readable_name() + ": no block can have so much shared memory");
  allowed_dynamic_shared_ = static_cast<size_t>(bytes);
  is_allowed_ = true;
}

void add_function(const void* host_function, Function function) {
  functions().insert_or_assign(host_function, std::move(function));
}

Function& function_of(const void* host_function) {
  const auto found = functions().find(host_function);
  if (found == functions().end())
    throw Refusal(cudaErrorInvalidDeviceFunction, "no kernel was registered for this function");
  return found->second;
}

void forget_functions(const FatBinary& binary) {
  std::erase_if(functions(),
                [&](const auto& entry) { return entry.second.binary().get() == &binary; });
}

}  // namespace ptx_machine
