// Checks of the thread pool and of the work board from outside: does each item run, and run once?
#pragma once

#include <cstdint>

namespace neurona {

// Runs `jobs` jobs back to back and returns how many of them left an item out, ran one twice or ran
// one that was not theirs.
int64_t count_wrong_jobs(int64_t jobs);

// The same of `boards` work boards, and of the order of each piece's stages.
int64_t count_wrong_boards(int64_t boards);

}  // namespace neurona
