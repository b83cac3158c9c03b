// Statements of a kernel's body to instructions: names become places in registers, labels become
// numbers, functions are put in where they are called.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "program/module.h"
#include "program/statement.h"

namespace ptx_machine {

std::unique_ptr<Kernel> assemble(const Module& module, std::string_view name, const Body& body);

class Assembler {
 public:
  Assembler(const Module& module, Kernel& kernel) : module_(module), kernel_(kernel) {}

  void assemble_kernel(const Body& body);

  // For decoders, which fill an instruction. All throw std::runtime_error.
  //
  // A register, or a constant of so many bytes.
  Operand value(const Argument& argument, size_t bytes);
  Operand predicate(const Argument& argument);
  // A register's.
  size_t bytes_of(const Argument& argument) const;
  // Base and offset of [base + offset]; into operands[which] and immediate.
  void address(Instruction& instruction, const Argument& argument, int which);
  std::vector<Operand> values(const Argument& list, size_t bytes);
  // What a call passes, as a whole, lies in registers; kNoOperand for anything else.
  Operand call_parameter(const Argument& address, size_t bytes) const;
  bool is_kernel_parameter(const Argument& argument) const;
  int64_t parameter_offset(const Argument& argument) const { return require(argument.name).place; }

 private:
  enum class Kind { kRegister, kCallParameter, kKernelParameter, kShared };
  struct Symbol {
    Kind kind;
    Operand place;  // or an offset among the parameters, or a shared address
    size_t bytes;
  };
  // %r<100>: %r0 .. %r99.
  struct Family {
    std::string_view prefix;
    Operand first;
    uint32_t count;
    size_t bytes;
  };
  struct Scope {
    std::vector<Family> families;
    std::unordered_map<std::string_view, Symbol> names;
  };
  struct Jump {
    size_t instruction;
    std::string place, label;
  };

  void assemble_body(const Body& body);
  void take_statement(std::string_view text);
  void declare(std::string_view text);
  void declare_registers(const std::vector<std::string_view>& words);
  void declare_specials();
  void declare_shared(const Body& body);
  void declare_parameters(const Body& body);
  void call(const Statement& statement);
  void emit(const Statement& statement);
  void jump(Instruction instruction, std::string_view label);
  int32_t target_of(const Jump& jump) const;
  void label_here(std::string_view name);
  void resolve_jumps();
  Operand new_registers(size_t bytes, uint32_t count);
  const Symbol* find(std::string_view name) const;
  const Symbol& require(std::string_view name) const;
  Operand constant(uint64_t bits, size_t bytes);

  const Module& module_;
  Kernel& kernel_;
  std::vector<Scope> scopes_;
  mutable Symbol found_{};  // a member of a family
  std::map<std::pair<uint64_t, size_t>, Operand> constants_;
  std::unordered_map<std::string, int32_t> labels_;
  std::vector<Jump> jumps_;
  int calls_ = 0;   // how deep
  int places_ = 0;  // braces and calls, each of which has labels of its own
  std::string place_;
  uint32_t line_ = 0;
};

// Fills an instruction from a statement; `parts` are those of the opcode, between its points.
using Parts = std::vector<std::string_view>;
using Decode = void (*)(Assembler&, const Statement&, const Parts&, Instruction&);
const Decode* find_decoder(std::string_view operation);

}  // namespace ptx_machine
