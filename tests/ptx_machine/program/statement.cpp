#include "program/statement.h"

#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string>

namespace ptx_machine {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) { skip_blanks(); }

  bool at_end() const { return rest_.empty(); }
  bool take(char character) {
    if (rest_.empty() || rest_.front() != character) return false;
    rest_.remove_prefix(1);
    skip_blanks();
    return true;
  }
  void expect(char character) {
    if (!take(character))
      throw std::runtime_error(std::string("expected '") + character + "' before \"" +
                               std::string(rest_.substr(0, 40)) + "\"");
  }
  // Letters, digits and what names are made of; of an opcode, colons too.
  std::string_view word(bool with_colons) {
    size_t length = 0;
    while (length < rest_.size() &&
           (is_name_character(rest_[length]) || (with_colons && rest_[length] == ':')))
      ++length;
    if (length == 0)
      throw std::runtime_error("expected a name before \"" + std::string(rest_) + "\"");
    const std::string_view found = rest_.substr(0, length);
    rest_.remove_prefix(length);
    skip_blanks();
    return found;
  }
  bool at_number() const {
    return !rest_.empty() && ((rest_[0] >= '0' && rest_[0] <= '9') || rest_[0] == '-');
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && std::strchr(" \t\n\r", rest_.front())) rest_.remove_prefix(1);
  }

  std::string_view rest_;
};

template <typename Number>
Number number_of(std::string_view digits, int base) {
  Number number{};
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number, base);
  const bool has_suffix = end + 1 == digits.end() && *end == 'U';
  if (error != std::errc{} || (end != digits.end() && !has_suffix))
    throw std::runtime_error("no number: " + std::string(digits));
  return number;
}

// Bits of an integer, or of a float written as 0f or 0d and its bits.
uint64_t scan_number(Scanner& scanner) {
  const bool is_negative = scanner.take('-');
  const std::string_view word = scanner.word(false);
  uint64_t bits = 0;
  if (word.size() == 10 && word.starts_with("0f"))
    bits = number_of<uint32_t>(word.substr(2), 16);
  else if (word.size() == 18 && word.starts_with("0d"))
    bits = number_of<uint64_t>(word.substr(2), 16);
  else if (word.starts_with("0x"))
    bits = number_of<uint64_t>(word.substr(2), 16);
  else if (word.starts_with("0b"))
    bits = number_of<uint64_t>(word.substr(2), 2);
  else
    bits = number_of<uint64_t>(word, word.front() == '0' ? 8 : 10);
  const bool is_float = word.starts_with("0f") || word.starts_with("0d");
  if (is_negative && is_float) throw std::runtime_error("no number: -" + std::string(word));
  return is_negative ? -bits : bits;
}

Argument scan_argument(Scanner& scanner);

void scan_items(Scanner& scanner, std::vector<Argument>& items) {
  do items.push_back(scan_argument(scanner));
  while (scanner.take(','));
}

// [base + number] or [base, {coordinates}]
Argument scan_address(Scanner& scanner) {
  Argument found;
  found.kind = Argument::Kind::kAddress;
  if (scanner.at_number())
    found.number = scan_number(scanner);
  else
    found.name = scanner.word(false);
  if (scanner.take('+')) found.number = scan_number(scanner);
  if (scanner.take(',')) {
    scanner.expect('{');
    scan_items(scanner, found.items);
    scanner.expect('}');
  }
  scanner.expect(']');
  return found;
}

Argument scan_argument(Scanner& scanner) {
  if (scanner.take('[')) return scan_address(scanner);
  Argument found;
  if (scanner.take('{') || scanner.take('(')) {
    found.kind = Argument::Kind::kList;
    scan_items(scanner, found.items);
    if (!scanner.take('}')) scanner.expect(')');
    return found;
  }
  if (scanner.at_number()) {
    found.kind = Argument::Kind::kNumber;
    found.number = scan_number(scanner);
    return found;
  }
  found.is_negated = scanner.take('!');
  found.name = scanner.word(false);
  if (scanner.take('|')) found.second = scanner.word(false);
  return found;
}

}  // namespace

bool is_name_character(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
         (character >= '0' && character <= '9') || std::strchr("_$%.", character);
}

std::string_view without_blanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n\r");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n\r") - first + 1);
}

Statement parse_statement(std::string_view text) {
  Scanner scanner(text);
  Statement found;
  if (scanner.take('@')) {
    found.is_negated = scanner.take('!');
    found.guard = scanner.word(false);
  }
  found.opcode = scanner.word(true);
  if (!scanner.at_end()) scan_items(scanner, found.arguments);
  if (!scanner.at_end()) throw std::runtime_error("not understood: " + std::string(text));
  return found;
}

}  // namespace ptx_machine
