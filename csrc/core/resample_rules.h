// What a resampled axis reads, as tables, and those tables turned round for the adjoint.
#pragma once

#include <cstdint>
#include <vector>

namespace neurona {

// For each row (column) of y the rows of x that it is mixed from; `above` and `part` are empty
// where it is one row.
struct ResampleAxis {
  int64_t length = 0;  // rows of x
  std::vector<int32_t> below, above;
  std::vector<float> part;

  int64_t count() const { return static_cast<int64_t>(below.size()); }
};

// For each row i of x the rows of y that read it, those below first: source[k] with the share
// weight[k] for start[i] <= k < start[i + 1].
struct ResampleReaders {
  explicit ResampleReaders(const ResampleAxis& axis);

  std::vector<int64_t> start;  // of length + 2, the last one being of no use
  std::vector<int32_t> source;
  std::vector<float> weight;
};

}  // namespace neurona
