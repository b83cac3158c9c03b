// Barriers in shared memory that count arrivals and bytes (PTX's mbarrier), and the transfers whose
// bytes they count.
//
// A phase ends when all arrivals and all bytes that were announced have come. Bytes come only when
// no thread can go on without them, one transfer at a time in the order of the schedule: whoever
// does not wait for them, or for the wrong phase, finds NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cuda/emulation/engine.h"
#include "cuda/emulation/turns.h"

namespace neurona::emulation {

class Mbarriers {
 public:
  void begin_block();
  // What is wrong when the threads of a block have returned, or empty.
  std::string problem_at_end() const;

  // What threads call.
  void init(const Site& site, uint64_t* barrier, unsigned arrivals);
  void publish();  // the fence that lets transfers see barriers
  void arrive(const Site& site, uint64_t* barrier, size_t announced_bytes);
  void wait(const Site& site, uint64_t* barrier, unsigned parity);
  void start(const Site& site, uint64_t* barrier, size_t bytes, std::function<void()> copy);

  // Ends one transfer; false if none is under way.
  bool end_one_transfer(Turns& turns);

  // Which phases have begun and not ended, for the error of a block that waits for ever.
  std::string unfinished() const;

 private:
  struct Barrier {
    Site site;  // of its init
    unsigned arrivals = 0, missing = 0;
    size_t bytes = 0;
    uint64_t phase = 0;
    bool is_published = false;
  };
  struct Transfer {
    Site site;
    size_t barrier, bytes;
    std::function<void()> copy;
  };

  size_t number_of(const Site& site, const uint64_t* barrier) const;
  // Ends the phase if nothing is missing; an error, or null.
  const char* end_phase(size_t number);

  std::vector<Barrier> barriers_;
  std::vector<Transfer> transfers_;
};

}  // namespace neurona::emulation
