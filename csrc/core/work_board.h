// Who does what, where chunks of work are large and threads are of unequal speed.
//
// A chunk is owned by the thread that takes it first. It consists of stages that follow one another
// (blocks of K) and of pieces that do not depend on each other (rows of C): piece p of stage s may
// begin when piece p of stage s - 1 has ended. Threads without a chunk of their own help with
// others' pieces; a piece is claimed once, whoever does it. Without that the slower of two threads
// may be alone with its last chunk for a quarter of the product.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/arena.h"
#include "core/thread_pool.h"

namespace neurona {

class WorkBoard {
 public:
  WorkBoard(int64_t chunks, int64_t stages, int64_t pieces);

  // The caller's part in the work, on one of the threads that share the board: first the chunks
  // that it comes to own, then what helps others. `prepare` is called before the first of a chunk's
  // pieces that the thread runs in a stage (a helper prepares for itself). Neither may throw: the
  // other threads would wait for pieces that nobody ends.
  void take_part(FunctionRef<void(int64_t chunk, int64_t stage)> prepare,
                 FunctionRef<void(int64_t chunk, int64_t stage, int64_t piece)> run);

 private:
  // A helper's preparation costs about as much as half a piece: it comes for so many.
  static constexpr int64_t kHelpFrom = 2;

  int64_t unclaimed(int64_t chunk, int64_t stage) const;
  int64_t ready(int64_t chunk, int64_t stage) const;  // those of them that may begin
  int64_t chunk_to_help() const;  // the one with the most unclaimed pieces, or -1
  bool claim(int64_t chunk, int64_t stage, int64_t piece);
  void run_stage(int64_t chunk, int64_t stage, bool owner,
                 FunctionRef<void(int64_t, int64_t)> prepare,
                 FunctionRef<void(int64_t, int64_t, int64_t)> run);

  int64_t chunks_, stages_, pieces_;
  std::atomic<int64_t> next_chunk_{0};
  Scratch<std::atomic<int32_t>> unclaimed_;  // [chunk][stage] pieces
  Scratch<std::atomic<int32_t>> ended_;      // [chunk][piece] stages
  Scratch<std::atomic<bool>> claimed_;       // [chunk][stage][piece]
};

}  // namespace neurona
