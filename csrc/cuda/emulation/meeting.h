// Threads that wait for each other.
#pragma once

#include <cstddef>
#include <cstring>

#include "cuda/emulation/engine.h"

namespace neurona::emulation {

inline bool same_place(const Site& a, const Site& b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

struct Meeting {
  size_t threads = 0;
  Site first_site;
  bool at_same_place = true;

  void join(const Site& site) {
    if (threads++ == 0)
      first_site = site;
    else
      at_same_place = at_same_place && same_place(site, first_site);
  }
};

}  // namespace neurona::emulation
