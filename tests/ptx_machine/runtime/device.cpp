#include "runtime/device.h"

#include <cstdio>
#include <cstdlib>

namespace ptx_machine {
namespace {

// A number above 0. The process ends for anything else: tests on a device that nobody meant prove
// nothing.
size_t number_from_environment(const char* name, size_t otherwise) {
  const char* text = std::getenv(name);
  if (!text) return otherwise;
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  if (end == text || *end != '\0' || number == 0) {
    std::fprintf(stderr, "PTX machine: %s must be a number above 0, got '%s'\n", name, text);
    std::abort();
  }
  return number;
}

}  // namespace

int capability() {
  static const auto number =
      static_cast<int>(number_from_environment("NEURONA_PTX_MACHINE_CAPABILITY", 90));
  return number;
}

int multiprocessors() {
  static const auto number =
      static_cast<int>(number_from_environment("NEURONA_PTX_MACHINE_MULTIPROCESSORS", 132));
  return number;
}

size_t device_memory_bytes() {
  static const size_t bytes =
      number_from_environment("NEURONA_PTX_MACHINE_MEMORY", size_t{2} << 30);
  return bytes;
}

size_t most_shared() {
  switch (capability()) {
    case 80:
    case 87: return 163 * 1024;
    case 90:
    case 100:
    case 103: return 227 * 1024;
    default: return 99 * 1024;
  }
}

}  // namespace ptx_machine
