// The kernels that the objects of a program have registered, by the functions of the host that
// stand for them.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/fatbin.h"
#include "program/kernel.h"

namespace ptx_machine {

// The PTX of one object. A text is parsed when the first of its kernels is asked for.
class FatBinary {
 public:
  explicit FatBinary(std::vector<PtxText> texts) : texts_(std::move(texts)) {}

  // Of the newest text that the device can run. Refusal if it can run none.
  const std::shared_ptr<Module>& module();
  int capability() const { return chosen_->capability; }  // of that text, once it is parsed

 private:
  std::vector<PtxText> texts_;
  const PtxText* chosen_ = nullptr;
  std::shared_ptr<Module> module_;
};

class Function {
 public:
  Function(std::shared_ptr<FatBinary> binary, std::string name)
      : binary_(std::move(binary)), name_(std::move(name)) {}

  // As people write it.
  std::string readable_name() const;

  const Kernel& kernel();
  cudaFuncAttributes attributes();

  // How much dynamic shared memory a launch may ask for.
  size_t most_dynamic_shared();
  void allow_dynamic_shared(int bytes);

  // So that a launch in a queue keeps the kernel.
  const std::shared_ptr<FatBinary>& binary() const { return binary_; }

 private:
  std::shared_ptr<FatBinary> binary_;
  std::string name_;
  const Kernel* kernel_ = nullptr;
  size_t allowed_dynamic_shared_ = 0;  // as somebody asked for it
  bool is_allowed_ = false;
};

void add_function(const void* host_function, Function function);

// Refusal for what is no kernel.
Function& function_of(const void* host_function);

// All of a binary, when its object goes.
void forget_functions(const FatBinary& binary);

}  // namespace ptx_machine
