#include "kernels/select.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "core/cpu.h"

namespace neurona {

// What each ISA's objects export: one function per family.
#define NEURONA_DECLARE(Type, name) Type name##_kernels();
#define X(isa)                             \
  namespace isa {                          \
  NEURONA_FOR_EACH_FAMILY(NEURONA_DECLARE) \
  }
NEURONA_FOR_EACH_ISA
#undef X
#undef NEURONA_DECLARE

namespace {

struct Entry {
  const char* name;
  KernelTable (*table)();
};

// Weakest first; filled from what CMake built.
#define NEURONA_FILL(Type, name) ns::name##_kernels(),
#define X(isa)                                                       \
  Entry{#isa, [] {                                                   \
          namespace ns = isa;                                        \
          return KernelTable{NEURONA_FOR_EACH_FAMILY(NEURONA_FILL)}; \
        }},
const Entry entries[] = {NEURONA_FOR_EACH_ISA};
#undef X
#undef NEURONA_FILL

struct Choice {
  KernelTable table;
  const Entry* entry;
};

std::atomic<const Choice*> current{nullptr};

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// Tables are small and a process uses few: they are never freed, so that a kernel in flight keeps
// its own.
const Choice* make_choice(const std::string& name) {
  for (const Entry& entry : entries)
    if (name == entry.name && cpu_supports(entry.name)) return new Choice{entry.table(), &entry};
  throw std::runtime_error(
      "NEURONA_ISA: '" + name +
      "' is not available on this processor; available: " + join(available_isas()));
}

const Choice& choice() {
  if (const Choice* chosen = current.load(std::memory_order_acquire)) return *chosen;
  const char* wanted = std::getenv("NEURONA_ISA");
  const auto names = available_isas();
  if (names.empty()) throw std::runtime_error("neurona needs a processor with at least SSE4.2");
  const Choice* made = make_choice(wanted && *wanted ? wanted : names.back());
  current.store(made, std::memory_order_release);
  return *made;
}

}  // namespace

const KernelTable& kernels() { return choice().table; }

std::string selected_isa() { return choice().entry->name; }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Entry& entry : entries)
    if (cpu_supports(entry.name)) names.push_back(entry.name);
  return names;
}

void select_isa(const std::string& name) {
  current.store(make_choice(name), std::memory_order_release);
}

}  // namespace neurona
