// A check of the thread pool from outside: does each item of each job run, and run once?
#pragma once

#include <cstdint>

namespace neurona {

// Runs `jobs` jobs back to back and returns how many of them left an item out, ran one twice or ran
// one that was not theirs.
int64_t count_wrong_jobs(int64_t jobs);

}  // namespace neurona
