// Numbers below 1.2e-38, which a processor handles 50 to 150 cycles at a time: kept by default, as
// in PyTorch, or flushed to zero inside every op.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include <cstdint>

namespace neurona {

bool set_flush_denormal(bool flush);  // false where the processor cannot
bool flush_denormal();

// Flushes while it lives, if that was asked for, and restores what the thread had.
class DenormalScope {
 public:
  explicit DenormalScope(bool flush) : flush_(flush) {
    if (!flush_) return;
    saved_ = control();
    set_control(saved_ | kFlush);
  }
  ~DenormalScope() {
    if (flush_) set_control(saved_);
  }
  DenormalScope(const DenormalScope&) = delete;
  DenormalScope& operator=(const DenormalScope&) = delete;

 private:
#if defined(__SSE__)
  using Control = uint32_t;
  static constexpr Control kFlush = 0x8040;  // MXCSR: flush to zero, denormals are zero
  static Control control() { return _mm_getcsr(); }
  static void set_control(Control value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Control = uint64_t;
  static constexpr Control kFlush = Control{1} << 24;  // FPCR.FZ
  static Control control() {
    Control value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set_control(Control value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
  using Control = uint32_t;
  static constexpr Control kFlush = 0;
  static Control control() { return 0; }
  static void set_control(Control) {}
#endif

  bool flush_;
  Control saved_ = 0;
};

}  // namespace neurona
