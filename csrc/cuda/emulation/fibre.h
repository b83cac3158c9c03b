// A stack of its own on which a function runs until it gives the processor back: one CUDA thread.
//
// Kernels that wait change stacks millions of times, so the change is inline: each function that
// returns on another stack than the processor expects costs it 5 ns, and swapcontext() takes 300
// for a system call.
#pragma once

#include <cstddef>
#include <cstdint>

// Other processors than x86-64, and builds that try what those would run.
#if !defined(__x86_64__) && !defined(NEURONA_UCONTEXT)
#define NEURONA_UCONTEXT
#endif
#if defined(NEURONA_UCONTEXT)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace neurona::emulation {

// Where a stack of execution stands while another one runs.
struct Context {
#if defined(NEURONA_UCONTEXT)
  ucontext_t machine{};
#else
  void* stack_pointer = nullptr;
#endif
  void* fake_stack = nullptr;  // AddressSanitizer's
  const void* stack_bottom = nullptr;
  size_t stack_bytes = 0;
};

class Fibre {
 public:
  Fibre();  // std::bad_alloc when there is no memory for its stack
  ~Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  // Forgets what ran on the stack; the next resume() calls `entry`, which must never return.
  void reset(void (*entry)());

  // Runs the fibre until it suspends.
  [[gnu::always_inline]] void resume() {
    started_ = this;
    change(outside_, inside_);
  }

  // Gives the processor back to the caller of resume().
  [[gnu::always_inline]] void suspend() { change(inside_, outside_); }

 private:
  static void start();
  static void change(Context& from, Context& to);

  static inline thread_local Fibre* started_ = nullptr;

  unsigned char* stack_;  // with a page below it that no one may touch
  size_t usable_bytes_;
  void (*entry_)() = nullptr;
  Context inside_, outside_;
};

#if defined(NEURONA_UCONTEXT)

inline void change_registers(Context& from, const Context& to) {
  swapcontext(&from.machine, const_cast<ucontext_t*>(&to.machine));
}

#else

// What the stack holds of one that waits: rbp, rbx (which no list of clobbers may name) and where
// to go on. The compiler saves what else it needs. The first step is over the 128 bytes behind the
// stack's end that a function may use (System V ABI).
[[gnu::always_inline]] inline void change_registers(Context& from, const Context& to) {
  void** save = &from.stack_pointer;
  void* load = to.stack_pointer;
  asm volatile(
      "leaq -128(%%rsp), %%rsp\n"
      "pushq %%rbp\n"
      "pushq %%rbx\n"
      "leaq 1f(%%rip), %%rax\n"
      "pushq %%rax\n"
      "movq %%rsp, (%0)\n"
      "movq %1, %%rsp\n"
      "popq %%rax\n"
      "popq %%rbx\n"
      "popq %%rbp\n"
      "jmp *%%rax\n"
      "1: endbr64\n"
      "leaq 128(%%rsp), %%rsp\n"
      : "+D"(save), "+S"(load)
      :
      : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6",
        "k7",
#endif
        "cc", "memory");
}

#endif

// AddressSanitizer is told which stack it looks at, before and after.
[[gnu::always_inline]] inline void Fibre::change(Context& from, Context& to) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack_bottom, to.stack_bytes);
#endif
  change_registers(from, to);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack, &to.stack_bottom, &to.stack_bytes);
#endif
}

}  // namespace neurona::emulation
