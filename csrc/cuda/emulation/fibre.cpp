#include "cuda/emulation/fibre.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "cuda/emulation/poison.h"

namespace neurona::emulation {
namespace {

// Enough for a kernel with 64 accumulators and its calls; sanitizers need several times as much.
constexpr size_t kStackBytes = (kReportsAtOnce ? 256 : 64) * 1024;

// Stacks begin at different places in a page: the tops of all of them are in use at once, and those
// at the same place would fight for the same lines of the caches.
constexpr size_t kColours = 16, kColourBytes = 256;

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

#if defined(NEURONA_UCONTEXT)

void enter_at(Context& context, void (*entry)(), unsigned char* stack, size_t bytes) {
  getcontext(&context.machine);
  context.machine.uc_stack.ss_sp = stack;
  context.machine.uc_stack.ss_size = bytes;
  context.machine.uc_link = nullptr;
  makecontext(&context.machine, entry, 0);
}

#else

void enter_at(Context& context, void (*entry)(), unsigned char* stack, size_t bytes) {
  auto** top = reinterpret_cast<void**>(stack + bytes);
  *--top = nullptr;  // the return address of `entry`, which never returns: rsp =
                     // 8 mod 16 there
  *--top = nullptr;  // rbp
  *--top = nullptr;  // rbx
  *--top = reinterpret_cast<void*>(entry);
  context.stack_pointer = top;
}

#endif

}  // namespace

void Fibre::start() {
#if defined(__SANITIZE_ADDRESS__)
  Context& outside = started_->outside_;
  __sanitizer_finish_switch_fiber(nullptr, &outside.stack_bottom, &outside.stack_bytes);
#endif
  started_->entry_();
}

Fibre::Fibre() {
  const size_t guard = page_bytes();
  void* memory = mmap(nullptr, guard + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, guard, PROT_NONE);
  stack_ = static_cast<unsigned char*>(memory) + guard;
  static size_t count = 0;
  usable_bytes_ = kStackBytes - count++ % kColours * kColourBytes;
}

Fibre::~Fibre() { munmap(stack_ - page_bytes(), page_bytes() + kStackBytes); }

void Fibre::reset(void (*entry)()) {
  allow(stack_, kStackBytes);  // frames that were forgotten left marks
  inside_ = Context{};
  inside_.stack_bottom = stack_;
  inside_.stack_bytes = kStackBytes;
  entry_ = entry;
  enter_at(inside_, &Fibre::start, stack_, usable_bytes_);
}

}  // namespace neurona::emulation
