// The PTX texts that nvcc embeds in an object.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ptx_machine {

struct PtxText {
  std::string_view text;
  int capability;    // of its .target, times ten
  bool is_specific;  // sm_90a: for that capability alone
};

// All texts of a fat binary. `wrapper` is what __cudaRegisterFatBinary gets. std::runtime_error for
// what is no fat binary, and for texts that are compressed.
std::vector<PtxText> ptx_texts(const void* wrapper);

// The newest that this capability can run; null if there is none.
const PtxText* newest_for(const std::vector<PtxText>& texts, int capability);

}  // namespace ptx_machine
