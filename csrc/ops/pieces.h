// Work on the elements of many arrays as if they were one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/thread_pool.h"

namespace neurona {

// Cuts the concatenation of all tensors into pieces and calls body(tensor, first, count) for the
// part of each tensor that lies in a piece. Elements do not depend on one another, so the cuts may
// be anywhere.
template <typename Tensor, typename Body>
void for_each_piece(const std::vector<Tensor>& tensors, int64_t bytes_per_element,
                    const Body& body) {
  std::vector<int64_t> ends(tensors.size());
  int64_t total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) ends[i] = total += tensors[i].size;
  parallel_for(total, grain_for(bytes_per_element), [&](int64_t begin, int64_t end) {
    size_t i =
        static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin());
    for (; begin < end; ++i) {
      const int64_t stop = std::min(end, ends[i]);
      if (stop > begin) body(tensors[i], begin - (ends[i] - tensors[i].size), stop - begin);
      begin = stop;
    }
  });
}

}  // namespace neurona
