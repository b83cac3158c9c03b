// What a kernel does, counted: a yardstick for kernels where no clock is. With
// NEURONA_PTX_MACHINE_COUNTS=FILE each launch appends a line of JSON to the file.
//
// Shared memory has 32 banks of 4 bytes and serves 128 bytes at a time ("a wavefront"): a warp's
// access of 4 bytes a thread takes as many wavefronts as its worst bank has different words, one of
// 8 or 16 bytes is served in two or four parts. The device's memory comes in sectors of 32 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "program/program.h"

namespace ptx_machine {

// Of an access to memory by the threads of a warp: their addresses and how many bytes each wants.
struct Access {
  const uint64_t* addresses;
  LaneMask lanes;
  size_t bytes;
};

class Counters {
 public:
  void note_instruction(const Instruction& instruction, LaneMask lanes);
  void note_shared(const Access& access);
  void note_global_load(const Access& access) { note_global(access, loads_); }
  void note_global_store(const Access& access) { note_global(access, stores_); }

  void write(const char* file, const Kernel& kernel, const KernelLaunch& launch) const;

 private:
  // Taken, and what would do if no banks were in conflict and every sector were wanted as a whole.
  struct Traffic {
    uint64_t taken = 0, least = 0;
  };

  static void note_global(const Access& access, Traffic& traffic);

  uint64_t instructions_ = 0, active_lanes_ = 0, products_ = 0;
  Traffic shared_, loads_, stores_;
};

// The file that NEURONA_PTX_MACHINE_COUNTS names; null if nothing is to be counted.
const char* counts_file();

}  // namespace ptx_machine
