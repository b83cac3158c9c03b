// How a call of the runtime is answered. All of them share one lock, which is also held while
// kernels run: other threads may then neither enqueue nor wait.
#pragma once

#include <cuda_runtime_api.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

namespace ptx_machine {

// A call that is not done, with the code that it returns. Its reason goes to stderr; a code that
// says all, or that callers expect, has none.
class Refusal : public std::exception {
 public:
  explicit Refusal(cudaError_t code, std::string reason = "")
      : code_(code), reason_(std::move(reason)) {}

  cudaError_t code() const { return code_; }
  const char* what() const noexcept override { return reason_.c_str(); }

 private:
  cudaError_t code_;
  std::string reason_;
};

// What a kernel, or a copy, did wrong when it ran. As on a GPU all of the device's work is lost,
// and every later call that has to do with the device returns the same error.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Does what `call` is to do, and returns what it is to return.
cudaError_t answer(const char* call, const std::function<void()>& body);

// The same for a call that says something about the device without using it: an earlier Fault does
// not matter to it.
cudaError_t answer_about_device(const char* call, const std::function<void()>& body);

// cudaErrorInvalidValue for a pointer that is null.
void require(const void* pointer);

}  // namespace ptx_machine
