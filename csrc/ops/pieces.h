// Work on the elements of many arrays as if they were one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/divide.h"
#include "core/thread_pool.h"

namespace neurona {

// Cuts the concatenation of all tensors into pieces and calls body(tensor, first, count) for the
// part of each tensor that lies in a piece. Within a tensor the cuts are at multiples of a block, a
// whole number of vectors on every ISA: a compiler may fuse a multiply-add in a loop over whole
// vectors and not in the code for a last one cut short (GCC 12 does for NEON), so that bits would
// depend on the cuts.
template <typename Tensor, typename Body>
void for_each_piece(const std::vector<Tensor>& tensors, int64_t bytes_per_element,
                    const Body& body) {
  constexpr int64_t kBlock = 16;
  std::vector<int64_t> ends(tensors.size());  // in blocks
  int64_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) ends[i] = total += divide_up(tensors[i].size, kBlock);
  parallel_for(total, grain_for(kBlock * bytes_per_element), [&](int64_t begin, int64_t end) {
    size_t i =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    for (; begin < end; ++i) {
      const int64_t start = i == 0 ? 0 : ends[i - 1], stop = std::min(end, ends[i]);
      const int64_t first = (begin - start) * kBlock,
                    last = std::min((stop - start) * kBlock, tensors[i].size);
      if (last > first) body(tensors[i], first, last - first);
      begin = stop;
    }
  });
}

}  // namespace neurona
