// Where a kernel calls a function that stands for one PTX instruction: the last parameter of such a
// function is `Place place = Place::current()`.
#pragma once

#include <source_location>

#include "cuda/emulation/engine.h"

namespace neurona::emulation {

using Place = std::source_location;

inline Site site_of(const char* instruction, const Place& place) {
  return {instruction, place.file_name(), static_cast<int>(place.line())};
}

}  // namespace neurona::emulation
