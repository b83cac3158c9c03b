// A PTX text and where its kernels and functions begin; kernels are assembled when they are first
// asked for, since a text of megabytes has hundreds.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "program/program.h"

namespace ptx_machine {

// `.shared` variables; those without a size get what a launch adds.
struct SharedVariable {
  std::string_view name;
  size_t alignment = 1, bytes = 0;
  bool is_dynamic = false;
};

// What stands between the braces of a kernel or function, and before them.
struct Body {
  std::string_view header, text;
  uint32_t line = 0;  // of the text's first line
};

class Module {
 public:
  explicit Module(std::string_view text);

  // Null if there is none.
  const Kernel* kernel(std::string_view name) const;
  const Body* function(std::string_view name) const;
  const std::vector<SharedVariable>& shared() const { return shared_; }

 private:
  std::string text_;  // without comments
  std::map<std::string_view, Body> entries_, functions_;
  std::vector<SharedVariable> shared_;
  mutable std::mutex mutex_;
  mutable std::map<std::string_view, std::unique_ptr<Kernel>> kernels_;
};

// `.shared .align 4 .b8 name[1024]`, with or without `.extern`, and `.shared .f32 name`.
SharedVariable parse_shared(std::string_view declaration);

// "b32", "pred" and so on; throws std::runtime_error.
size_t bytes_of_type(std::string_view type);

std::vector<std::string_view> split_words(std::string_view text);

// The types and names of `.param .align 8 .b8 name[24], .param .u64 other`, in their order.
struct Declaration {
  std::string_view name;
  size_t alignment, bytes;
};
std::vector<Declaration> parse_parameters(std::string_view list);

}  // namespace ptx_machine
