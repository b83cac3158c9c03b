#include "program/module.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "program/assembler.h"
#include "program/statement.h"

namespace ptx_machine {
namespace {

// Lines stay where they are.
std::string without_comments(std::string_view text) {
  std::string cleaned(text);
  for (size_t at = cleaned.find("//"); at != cleaned.npos; at = cleaned.find("//", at)) {
    const size_t end = std::min(cleaned.find('\n', at), cleaned.size());
    std::fill(cleaned.begin() + static_cast<ptrdiff_t>(at),
              cleaned.begin() + static_cast<ptrdiff_t>(end), ' ');
  }
  return cleaned;
}

size_t end_of_block(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t at = open; at < text.size(); ++at) {
    if (text[at] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  throw std::runtime_error("PTX: a block does not end");
}

// The name before the last parenthesis that opens: a function's result stands in one before.
std::string_view name_of(std::string_view header) {
  const size_t end = header.rfind('(');
  std::string_view before = without_blanks(header.substr(0, end));
  size_t first = before.size();
  while (first > 0 && is_name_character(before[first - 1])) --first;
  return before.substr(first);
}

size_t number_of(std::string_view digits) {
  size_t number = 0;
  std::from_chars(digits.begin(), digits.end(), number);
  return number;
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t\n\r,", at)) != text.npos) {
    const size_t end = std::min(text.find_first_of(" \t\n\r,", at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

size_t bytes_of_type(std::string_view type) {
  if (type == "pred") return sizeof(LaneMask);
  const std::string_view digits = type.substr(std::min<size_t>(1, type.size()));
  if (digits == "8") return 1;
  if (digits == "16") return 2;
  if (digits == "32") return 4;
  if (digits == "64") return 8;
  throw std::runtime_error("PTX: no type of registers or memory: ." + std::string(type));
}

namespace {

// The words behind `.shared` or `.param`.
Declaration parse_declaration(const std::vector<std::string_view>& words) {
  Declaration found{{}, 0, 0};
  size_t element = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == ".align")
      found.alignment = number_of(words.at(++i));
    else if (words[i] == ".ptr" || words[i] == ".global")
      continue;
    else if (words[i].starts_with('.'))
      element = bytes_of_type(words[i].substr(1));
    else
      found.name = words[i];
  }
  const size_t bracket = found.name.find('[');
  const size_t count = bracket == found.name.npos ? 1 : number_of(found.name.substr(bracket + 1));
  found.name = found.name.substr(0, bracket);
  found.alignment = std::max(found.alignment, element);
  found.bytes = element * count;
  return found;
}

}  // namespace

std::vector<Declaration> parse_parameters(std::string_view list) {
  std::vector<Declaration> found;
  while (!without_blanks(list).empty()) {
    const size_t comma = list.find(',');
    std::vector<std::string_view> words = split_words(list.substr(0, comma));
    words.erase(words.begin());  // .param
    found.push_back(parse_declaration(words));
    list = comma == list.npos ? std::string_view{} : list.substr(comma + 1);
  }
  return found;
}

SharedVariable parse_shared(std::string_view declaration) {
  std::vector<std::string_view> words = split_words(declaration);
  const bool is_dynamic = words.front() == ".extern";
  words.erase(words.begin(), std::find(words.begin(), words.end(), ".shared") + 1);
  const Declaration found = parse_declaration(words);
  return {found.name, found.alignment, is_dynamic ? 0 : found.bytes, is_dynamic};
}

Module::Module(std::string_view text) : text_(without_comments(text)) {
  const std::string_view all = text_;
  uint32_t line = 1;
  size_t at = 0, counted = 0;
  const auto line_at = [&](size_t place) {
    line += static_cast<uint32_t>(std::count(all.begin() + static_cast<ptrdiff_t>(counted),
                                             all.begin() + static_cast<ptrdiff_t>(place), '\n'));
    counted = place;
    return line;
  };
  // What stands at the outermost level ends with a semicolon or is a header and its body; the
  // directives before the first of these are lines of their own.
  while ((at = all.find_first_not_of(" \t\n\r", at)) != all.npos) {
    if (all.substr(at).starts_with(".version") || all.substr(at).starts_with(".target") ||
        all.substr(at).starts_with(".address_size")) {
      at = all.find('\n', at);
      continue;
    }
    const size_t end = all.find_first_of(";{", at);
    if (end == all.npos) break;
    const std::string_view header = all.substr(at, end - at);
    const std::vector<std::string_view> words = split_words(header);
    const auto has = [&](std::string_view word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    };
    if (all[end] == ';') {
      if (has(".shared"))
        shared_.push_back(parse_shared(header));
      else if (!has(".func"))
        throw std::runtime_error("PTX: not understood: " + std::string(header.substr(0, 100)));
      at = end + 1;
      continue;
    }
    const size_t close = end_of_block(all, end);
    const Body body{header, all.substr(end + 1, close - end - 1), line_at(end)};
    const size_t bounds = header.find(".maxntid") == header.npos ? header.find(".minnctapersm")
                                                                 : header.find(".maxntid");
    (has(".func") ? functions_ : entries_)[name_of(header.substr(0, bounds))] = body;
    at = close + 1;
  }
}

const Body* Module::function(std::string_view name) const {
  const auto found = functions_.find(name);
  return found == functions_.end() ? nullptr : &found->second;
}

const Kernel* Module::kernel(std::string_view name) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return nullptr;
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Kernel>& kernel = kernels_[entry->first];
  if (!kernel) kernel = assemble(*this, entry->first, entry->second);
  return kernel.get();
}

}  // namespace ptx_machine
