// Products of tiles in shared memory by the 128 threads of a warpgroup (PTX's wgmma).
//
// They are as late as may be: a warp's rows are computed, from what shared memory then holds, when
// the warp waits for the group that they were committed to. Until then its sums are NaN.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "cuda/emulation/engine.h"

namespace neurona::emulation {

// D (64, columns) = [D] + A (64, depth) B (columns, depth)^T, with tiles where the descriptors say;
// 32 bytes of depth, or 16 lines where tiles lie across it.
struct TileProduct {
  uint64_t a, b;
  int columns;
  bool is_bfloat16;  // otherwise TF32
  bool is_across;
  bool accumulate;  // otherwise D is not read
  float* d;         // a thread's columns / 2 sums
};

class Wgmma {
 public:
  void begin_block(size_t warps);

  // What threads call: multiply() all of a warpgroup together, the others all of a warp.
  void fence(const Site& site);
  void multiply(const Site& site, const TileProduct& product);
  void commit(const Site& site);
  void wait(const Site& site, size_t groups_left);

 private:
  // A warp's sums while products of them are under way, [lane][columns / 2].
  struct Sums {
    float* d[kWarp];
    std::vector<float> values;
  };
  struct Warp {
    bool is_fenced = false;
    std::vector<TileProduct> open;                   // not committed
    std::deque<std::vector<TileProduct>> committed;  // groups, the oldest first
    std::vector<Sums> sums;
  };

  void start(const Site& site, Warp& warp, const TileProduct* const* of_lanes);
  void compute(const Site& site, Warp& warp, int first_row, const TileProduct& product);
  void give_back(Warp& warp);

  std::vector<Warp> warps_;
};

}  // namespace neurona::emulation
