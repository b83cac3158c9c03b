// How parts of a product's operands come to shared memory: by cp.async, several parts ahead of what
// is multiplied.
#pragma once

#include <type_traits>

#include "cuda/device.h"
#include "cuda/product/product_grid.cuh"
#include "cuda/ptx/cp_async.cuh"

namespace neurona {

// The parts of kDepths elements that a slice of k has: the first may be shorter, so that those
// which are copied while others are multiplied are whole, and nothing has to be asked about them.
template <int kDepths>
struct SliceParts {
  int64_t first_k;
  unsigned count;
  int first_depths;

  __device__ SliceParts(const ProductShape& shape, const ProductGrid& grid, int64_t slice)
      : first_k(slice * grid.slice_length) {
    const int64_t length = min(grid.slice_length, shape.k - first_k);
    count = static_cast<unsigned>((length + kDepths - 1) / kDepths);
    first_depths = static_cast<int>(length - (int64_t{count} - 1) * kDepths);
  }
};

// Copies one part after the other, of kLines lines and kDepths elements of each, from a source,
// kWidth (1 or 4) neighbours at a time; Layout::word<kLines, along depth>(line, depth) is where an
// element goes. Of a dense matrix addresses are counted up.
//
// A layout that transposes has all operands as [depth][line], so that what lies along the depth in
// memory comes in single elements: 8 depths of 4 lines to a warp, which are whole sectors there
// and, with the rows of such a layout, 32 different banks here.
template <int kLines, int kDepths, int kWidth, typename Layout, typename Source>
class PartCopier {
 public:
  __device__ PartCopier(const Source& source, int64_t batch, int64_t first_line, int64_t first_k)
      : source_(source),
        batch_(batch),
        k_(first_k),
        word_(Layout::template word<kLines, kAlongDepth>(own_line(0), own_depth(0))) {
    NEURONA_UNROLL
    for (int i = 0; i < kPlaces; ++i) {
      const auto line = source.line(batch, first_line + own_line(i));
      if constexpr (Source::kIsEverywhere)
        places_[i] = source.address(line, source.step(batch, first_k + own_depth(i)));
      else
        places_[i] = line;
    }
  }

  // The first part has `depths` elements of each line, the others have all. What is beyond, or is
  // not in memory for another reason, is zero.
  __device__ void begin_first(int depths, float* part) { begin<true>(depths, part); }
  __device__ void begin_next(float* part) { begin<false>(kDepths, part); }

 private:
  static constexpr bool kAlongDepth = Source::kDepthIsContiguous;
  static constexpr bool kIsTransposed = kAlongDepth && Layout::kTransposes;
  static constexpr int kElements = kIsTransposed ? 1 : kWidth;  // of a copy
  static constexpr int kBytes = kElements * static_cast<int>(sizeof(float));
  static constexpr int kOwn = kLines * kDepths / kElements / kProductThreads;  // a thread's copies
  static_assert(kOwn * kElements * kProductThreads == kLines * kDepths,
                "a part must be a whole number of copies for each thread");
  // Neighbouring threads copy neighbours in memory: along k all of a line's part, or 8 depths where
  // that is transposed, else all lines.
  static constexpr int kSector = 8, kMostLines = kProductThreads / kSector;
  static constexpr int kAlong = kIsTransposed
                                    ? kProductThreads / (kLines < kMostLines ? kLines : kMostLines)
                                    : (kAlongDepth ? kDepths : kLines) / kElements;
  static constexpr int kAside = kProductThreads / kAlong;  // lines, or depths, at once
  // Of copies that follow each other the lines differ, and when all have had theirs, the depths.
  static constexpr int kOwnLines = kAlongDepth ? kLines / kAside : 1;
  // Of a dense matrix each copy has its address, or each line, where a thread copies several depths
  // of it.
  static constexpr int kPlaces = Source::kIsEverywhere && !kAlongDepth ? kOwn : kOwnLines;

  __device__ static int own_line(int i) {
    const int thread = threadIdx.x, turn = i % kOwnLines * kAside;
    if constexpr (kIsTransposed) return thread / kSector % kAside + turn;
    return kAlongDepth ? thread / kAlong + turn : thread % kAlong * kElements;
  }
  __device__ static int own_depth(int i) {
    const int thread = threadIdx.x;
    if constexpr (kIsTransposed)
      return thread % kSector + thread / (kSector * kAside) * kSector + added_depth(i);
    return kAlongDepth ? thread % kAlong * kElements : thread / kAlong + i * kAside;
  }
  // How far behind the first one's depth that of copy i of a line is.
  __device__ static constexpr int added_depth(int i) { return i / kOwnLines * kAlong; }

  // A layout gives each bit of a line's or a depth's number a place of its own in the word, so that
  // copy i goes to the first one's word and that of what is added, by exclusive or; of copies of
  // four elements no bit is in both. Where rows have gaps words are sums.
  __device__ int own_word(int i) const {
    const int line = kAlongDepth ? i % kOwnLines * kAside : 0,
              depth = kAlongDepth ? added_depth(i) : i * kAside,
              added = Layout::template word<kLines, kAlongDepth>(line, depth);
    return kElements == 4 || Layout::kTransposes ? word_ + added : word_ ^ added;
  }

  template <bool kMayEnd>
  __device__ void begin(int depths, float* part) {
    typename Source::Step step{};
    NEURONA_UNROLL
    for (int i = 0; i < kOwn; ++i) {
      const int depth = own_depth(i);
      bool is_read = !kMayEnd || depth < depths;
      const float* from;
      if constexpr (Source::kIsEverywhere) {
        from = places_[i % kPlaces] + source_.step(batch_, i / kPlaces * kAlong);
      } else {
        if (i % kOwnLines == 0) step = source_.step(batch_, k_ + (is_read ? depth : 0));
        const Place& line = places_[i % kOwnLines];
        is_read = is_read && source_.has(line, step);
        from = source_.place(line, step);
      }
      begin_copy<kBytes>(part + own_word(i), is_read ? from : source_.first(), is_read);
    }
    if constexpr (Source::kIsEverywhere) {
      const int64_t next = source_.step(batch_, depths);
      NEURONA_UNROLL
      for (int i = 0; i < kPlaces; ++i) places_[i] += next;
    } else {
      k_ += depths;
    }
  }

  // Of a dense matrix addresses, else the lines.
  using Place = std::conditional_t<Source::kIsEverywhere, const float*, typename Source::Line>;

  const Source& source_;
  int64_t batch_, k_;
  Place places_[kPlaces];
  int word_;
};

}  // namespace neurona
