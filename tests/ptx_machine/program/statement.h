// One statement of PTX, taken apart.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace ptx_machine {

struct Argument {
  enum class Kind { kName, kNumber, kAddress, kList };
  Kind kind = Kind::kName;
  bool is_negated = false;      // !name
  std::string_view name;        // of a name; the base of an address, if it has one
  std::string_view second;      // name|second
  uint64_t number = 0;          // its bits; of an address what is added to the base
  std::vector<Argument> items;  // of a list; the coordinates of an address
};

struct Statement {
  std::string_view guard;  // empty: none
  bool is_negated = false;
  std::string_view opcode;
  std::vector<Argument> arguments;
};

// Without its semicolon. Throws std::runtime_error.
Statement parse_statement(std::string_view text);

bool is_name_character(char character);
std::string_view without_blanks(std::string_view text);

}  // namespace ptx_machine
