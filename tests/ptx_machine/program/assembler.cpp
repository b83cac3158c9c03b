#include "program/assembler.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "execution/warp.h"

namespace ptx_machine {
namespace {

// Parts of a label's place, and the label behind a call.
constexpr char kBrace = '{';
constexpr const char* kReturn = "ret";

// Functions are put in where they are called, one within the other.
constexpr int kMostCalls = 32;

constexpr const char* kSpecialNames[] = {
    "%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",          "%ntid.y",
    "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z",         "%nctaid.x",
    "%nctaid.y", "%nctaid.z", "%laneid",  "%cluster_ctarank", "%cluster_nctarank"};

// What a header may demand of a launch, and nobody would check.
constexpr const char* kUnknownDemands[] = {".reqntid", ".reqnctapercluster", ".explicitcluster",
                                           ".maxclusterrank"};

Parts parts_of(std::string_view opcode) {
  Parts parts;
  for (size_t at = 0; at <= opcode.size();) {
    const size_t end = std::min(opcode.find('.', at), opcode.size());
    parts.push_back(opcode.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

size_t aligned(size_t bytes, size_t alignment) {
  return alignment == 0 ? bytes : (bytes + alignment - 1) / alignment * alignment;
}

// Where a label ends, if the text begins with one.
size_t end_of_label(std::string_view text) {
  size_t at = 0;
  while (at < text.size() && is_name_character(text[at])) ++at;
  const bool is_label = at > 0 && at < text.size() && text[at] == ':' && text.substr(at, 2) != "::";
  return is_label ? at : text.npos;
}

}  // namespace

std::unique_ptr<Kernel> assemble(const Module& module, std::string_view name, const Body& body) {
  auto kernel = std::make_unique<Kernel>();
  kernel->name = name;
  Assembler(module, *kernel).assemble_kernel(body);
  return kernel;
}

void Assembler::assemble_kernel(const Body& body) {
  scopes_.emplace_back();
  declare_specials();
  declare_parameters(body);
  declare_shared(body);
  for (const char* demand : kUnknownDemands)
    if (body.header.find(demand) != body.header.npos)
      throw std::runtime_error(std::string("PTX: no ") + demand + ": " + kernel_.name);
  const size_t bound = body.header.find(".maxntid");
  if (bound != body.header.npos) {
    const std::vector<std::string_view> words = split_words(body.header.substr(bound));
    unsigned threads = 1;
    for (size_t i = 1; i < 4; ++i) {
      unsigned extent = 1;
      std::from_chars(words.at(i).begin(), words.at(i).end(), extent);
      threads *= extent;
    }
    kernel_.limits.max_threads = threads;
  }
  assemble_body(body);
  Instruction end;
  end.flow = Flow::kExit;
  end.line = line_;
  kernel_.code.push_back(std::move(end));
  resolve_jumps();
}

void Assembler::assemble_body(const Body& body) {
  const std::string_view text = body.text;
  const uint32_t first_line = body.line;
  size_t at = 0, counted = 0;
  uint32_t line = first_line;
  while ((at = text.find_first_not_of(" \t\n\r", at)) != text.npos) {
    line += static_cast<uint32_t>(std::count(text.begin() + static_cast<ptrdiff_t>(counted),
                                             text.begin() + static_cast<ptrdiff_t>(at), '\n'));
    counted = at;
    line_ = line;
    if (text[at] == '{') {
      scopes_.emplace_back();
      place_ += kBrace + std::to_string(++places_);
      ++at;
    } else if (text[at] == '}') {
      scopes_.pop_back();
      place_.resize(place_.rfind(kBrace));
      ++at;
    } else if (const size_t label = end_of_label(text.substr(at)); label != text.npos) {
      label_here(text.substr(at, label));
      at += label + 1;
    } else {
      const size_t end = std::min(text.find(';', at), text.size());
      try {
        take_statement(text.substr(at, end - at));
      } catch (const std::exception& error) {
        throw std::runtime_error("PTX line " + std::to_string(line) + ": " + error.what() + ": " +
                                 std::string(text.substr(at, std::min<size_t>(end - at, 200))));
      }
      at = end + 1;
    }
  }
}

void Assembler::take_statement(std::string_view text) {
  if (text.starts_with('.'))
    declare(text);
  else
    emit(parse_statement(text));
}

void Assembler::declare(std::string_view text) {
  std::vector<std::string_view> words = split_words(text);
  if (words.front() == ".pragma" || words.front() == ".shared") return;  // declare_shared()
  if (words.front() == ".reg") return declare_registers(words);
  if (words.front() != ".param") throw std::runtime_error("no such declaration");
  for (const Declaration& found : parse_parameters(text))
    scopes_.back().names[found.name] = {Kind::kCallParameter, new_registers(found.bytes, 1),
                                        found.bytes};
}

void Assembler::declare_registers(const std::vector<std::string_view>& words) {
  const size_t bytes = bytes_of_type(words.at(1).substr(1));
  for (size_t i = 2; i < words.size(); ++i) {
    const size_t open = words[i].find('<');
    const std::string_view name = words[i].substr(0, open);
    if (open == words[i].npos) {
      scopes_.back().names[name] = {Kind::kRegister, new_registers(bytes, 1), bytes};
      continue;
    }
    uint32_t count = 0;
    std::from_chars(words[i].begin() + open + 1, words[i].end(), count);
    scopes_.back().families.push_back({name, new_registers(bytes, count), count, bytes});
  }
}

// Their places are the first ones, in the order of their numbers.
void Assembler::declare_specials() {
  for (const char* name : kSpecialNames)
    scopes_.back().names[name] = {Kind::kRegister, new_registers(4, 1), 4};
}

// A variable of the whole text counts if the kernel names it.
void Assembler::declare_shared(const Body& body) {
  std::vector<SharedVariable> variables;
  for (const SharedVariable& variable : module_.shared())
    if (body.text.find(variable.name) != body.text.npos) variables.push_back(variable);
  for (size_t at = body.text.find(".shared .align"); at != body.text.npos;
       at = body.text.find(".shared .align", at + 1))
    variables.push_back(parse_shared(body.text.substr(at, body.text.find(';', at) - at)));
  size_t end = kFirstSharedAddress;
  for (const SharedVariable& variable : variables) {
    if (variable.is_dynamic) continue;
    end = aligned(end, variable.alignment);
    scopes_.back().names[variable.name] = {Kind::kShared, static_cast<Operand>(end), 4};
    end += variable.bytes;
  }
  kernel_.limits.static_shared = end - kFirstSharedAddress;
  for (const SharedVariable& variable : variables) {
    if (!variable.is_dynamic) continue;
    end = aligned(end, variable.alignment);
    scopes_.back().names[variable.name] = {Kind::kShared, static_cast<Operand>(end), 4};
  }
  kernel_.dynamic_first = end - kFirstSharedAddress;
}

void Assembler::declare_parameters(const Body& body) {
  const size_t open = body.header.find('('), close = body.header.rfind(')');
  size_t end = 0;
  for (const Declaration& found :
       parse_parameters(body.header.substr(open + 1, close - open - 1))) {
    end = aligned(end, found.alignment);
    kernel_.parameters.push_back({end, found.bytes});
    scopes_.back().names[found.name] = {Kind::kKernelParameter, static_cast<Operand>(end),
                                        found.bytes};
    end += found.bytes;
  }
}

void Assembler::emit(const Statement& statement) {
  const Parts parts = parts_of(statement.opcode);
  if (parts.front() == "call") return call(statement);
  Instruction instruction;
  instruction.line = line_;
  if (!statement.guard.empty()) {
    instruction.guard = require(statement.guard).place;
    instruction.is_negated = statement.is_negated;
  }
  if (parts.front() == "bra") {
    instruction.flow = Flow::kBranch;
    return jump(std::move(instruction), statement.arguments.at(0).name);
  }
  if (parts.front() == "ret" && calls_ > 0) {
    instruction.flow = Flow::kBranch;
    return jump(std::move(instruction), kReturn);
  }
  if (parts.front() == "ret" || parts.front() == "exit") {
    instruction.flow = Flow::kExit;
    kernel_.code.push_back(std::move(instruction));
    return;
  }
  const Decode* decode = find_decoder(parts.front());
  if (!decode) throw std::runtime_error("no such instruction");
  (*decode)(*this, statement, parts, instruction);
  kernel_.code.push_back(std::move(instruction));
}

// call (results), function, (arguments)
void Assembler::call(const Statement& statement) {
  if (!statement.guard.empty()) throw std::runtime_error("no calls by some threads");
  if (calls_ == kMostCalls) throw std::runtime_error("no functions that call themselves");
  const std::string_view name = statement.arguments.at(1).name;
  const Body* body = module_.function(name);
  if (!body) throw std::runtime_error("no such function");
  const size_t results = body->header.find('('), results_end = body->header.find(')', results);
  const size_t formals = body->header.find('(', results_end);
  Scope scope;
  const auto bind = [&](std::string_view list, const Argument& actual) {
    size_t i = 0;
    for (const Declaration& formal : parse_parameters(list))
      scope.names[formal.name] = require(actual.items.at(i++).name);
  };
  bind(body->header.substr(results + 1, results_end - results - 1), statement.arguments.at(0));
  bind(body->header.substr(formals + 1, body->header.rfind(')') - formals - 1),
       statement.arguments.at(2));
  scopes_.push_back(std::move(scope));
  const std::string outer = std::exchange(place_, "call " + std::to_string(++places_));
  ++calls_;
  assemble_body(*body);
  --calls_;
  label_here(kReturn);
  place_ = outer;
  scopes_.pop_back();
}

void Assembler::jump(Instruction instruction, std::string_view label) {
  jumps_.push_back({kernel_.code.size(), place_, std::string(label)});
  kernel_.code.push_back(std::move(instruction));
}

void Assembler::resolve_jumps() {
  for (const Jump& each : jumps_) kernel_.code[each.instruction].target = target_of(each);
}

// A label of the braces that the jump stands in, or of those around them.
int32_t Assembler::target_of(const Jump& jump) const {
  for (std::string place = jump.place;; place.resize(place.rfind(kBrace))) {
    const auto found = labels_.find(place + ' ' + jump.label);
    if (found != labels_.end()) return found->second;
    if (place.find(kBrace) == place.npos) throw std::runtime_error("PTX: no label " + jump.label);
  }
}

void Assembler::label_here(std::string_view name) {
  const auto here = static_cast<int32_t>(kernel_.code.size());
  if (!labels_.emplace(place_ + ' ' + std::string(name), here).second)
    throw std::runtime_error("PTX: the label " + std::string(name) + " occurs twice");
}

Operand Assembler::new_registers(size_t bytes, uint32_t count) {
  const size_t first = aligned(kernel_.register_bytes, 32);
  kernel_.register_bytes = first + count * slot_bytes(bytes) * kLanes;
  return static_cast<Operand>(first);
}

const Assembler::Symbol* Assembler::find(std::string_view name) const {
  size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    for (const Family& family : scope->families) {
      if (digits == name.size() || name.substr(0, digits) != family.prefix) continue;
      uint32_t index = 0;
      std::from_chars(name.begin() + digits, name.end(), index);
      if (index >= family.count) continue;
      const size_t offset = index * slot_bytes(family.bytes) * kLanes;
      found_ = {Kind::kRegister, family.first + static_cast<Operand>(offset), family.bytes};
      return &found_;
    }
    const auto found = scope->names.find(name);
    if (found != scope->names.end()) return &found->second;
  }
  return nullptr;
}

const Assembler::Symbol& Assembler::require(std::string_view name) const {
  const Symbol* found = find(name);
  if (!found) throw std::runtime_error("nothing is called " + std::string(name));
  return *found;
}

Operand Assembler::constant(uint64_t bits, size_t bytes) {
  const size_t slot = slot_bytes(bytes);
  const auto [place, is_new] = constants_.try_emplace({bits, slot}, 0);
  if (is_new) {
    const size_t offset = aligned(kernel_.constants.size(), 32);
    kernel_.constants.resize(offset + slot * kLanes);
    for (int lane = 0; lane < kLanes; ++lane)
      std::memcpy(&kernel_.constants[offset + slot * static_cast<size_t>(lane)], &bits, slot);
    place->second = ~static_cast<Operand>(offset);
  }
  return place->second;
}

Operand Assembler::value(const Argument& argument, size_t bytes) {
  if (argument.kind == Argument::Kind::kNumber) return constant(argument.number, bytes);
  if (argument.kind != Argument::Kind::kName) throw std::runtime_error("expected one value");
  if (argument.is_negated || !argument.second.empty())
    throw std::runtime_error("expected one value, as it is");
  if (argument.name == "_") return kNoOperand;
  const Symbol& found = require(argument.name);
  if (found.kind == Kind::kShared) return constant(static_cast<uint64_t>(found.place), bytes);
  if (found.kind != Kind::kRegister) throw std::runtime_error("expected a register");
  if (slot_bytes(found.bytes) != slot_bytes(bytes))
    throw std::runtime_error(std::string(argument.name) + " has another size");
  return found.place;
}

Operand Assembler::predicate(const Argument& argument) {
  if (argument.kind == Argument::Kind::kNumber)
    return constant(argument.number ? kAllLanes : 0, sizeof(LaneMask));
  return value(argument, sizeof(LaneMask));
}

size_t Assembler::bytes_of(const Argument& argument) const {
  return argument.kind == Argument::Kind::kNumber ? 8 : require(argument.name).bytes;
}

void Assembler::address(Instruction& instruction, const Argument& argument, int which) {
  if (argument.kind != Argument::Kind::kAddress) throw std::runtime_error("expected an address");
  instruction.immediate = static_cast<int64_t>(argument.number);
  if (argument.name.empty()) return;
  const Symbol& found = require(argument.name);
  if (found.kind == Kind::kRegister) {
    instruction.operands[which] = found.place;
    instruction.has_wide_address = found.bytes == 8;
  } else {
    instruction.immediate += found.place;
  }
}

std::vector<Operand> Assembler::values(const Argument& list, size_t bytes) {
  if (list.kind != Argument::Kind::kList) return {value(list, bytes)};
  std::vector<Operand> found;
  for (const Argument& item : list.items) found.push_back(value(item, bytes));
  return found;
}

Operand Assembler::call_parameter(const Argument& address, size_t bytes) const {
  const Symbol* found = find(address.name);
  if (!found || found->kind != Kind::kCallParameter) return kNoOperand;
  if (address.number != 0 || found->bytes != bytes)
    throw std::runtime_error("a part of what a call passes");
  return found->place;
}

bool Assembler::is_kernel_parameter(const Argument& argument) const {
  const Symbol* found = find(argument.name);
  return found && found->kind == Kind::kKernelParameter;
}

}  // namespace ptx_machine
