// Every sum is brought to one of two forms by merging neighbouring axes:
//
//   rows     ... x lines (kept) x depth (reduced, contiguous)       one sum per line
//   columns  ... x depth (reduced) x lines (kept, contiguous)       one sum per column
//
// The axes in front are kept (groups) or reduced (repeats). Work is cut into slabs of lines, and
// where that leaves too few pieces, the depth is cut into chunks whose number depends on the shape
// alone.
#include "ops/reduce.h"

#include <algorithm>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Sums of a slab live on the stack: 4 KiB.
constexpr int64_t kSlab = 512;
// Elements that are worth a piece of work of their own, and pieces that are enough for any machine.
constexpr int64_t kPiece = 65536, kEnoughPieces = 64;
// Narrow matrices are summed as if several rows were one, up to this width: 4 vectors of 16 floats.
constexpr int64_t kFoldedWidth = 64;

struct Axis {
  int64_t extent, x, y;  // strides in elements
  bool reduced;
};

struct Plan {
  std::vector<Axis> groups, repeats;
  Axis lines{1, 0, 0, false}, depth{1, 0, 0, true};
  bool columns = false;
  int64_t group_count = 1, repeat_count = 1;
};

std::vector<Axis> merged_axes(const std::vector<ReduceAxis>& axes) {
  std::vector<Axis> merged;  // innermost first
  int64_t x_stride = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    const ReduceAxis& axis = axes[i];
    if (axis.extent != 1) {
      const bool joins = !merged.empty() && merged.back().reduced == axis.reduced &&
                         (axis.reduced || axis.y_stride == merged.back().y * merged.back().extent);
      if (joins) {
        merged.back().extent *= axis.extent;
      } else {
        merged.push_back({axis.extent, x_stride, axis.reduced ? 0 : axis.y_stride, axis.reduced});
      }
    }
    x_stride *= axis.extent;
  }
  return merged;
}

Plan make_plan(const std::vector<ReduceAxis>& axes) {
  const std::vector<Axis> merged = merged_axes(axes);
  Plan plan;
  size_t next = 0;
  if (!merged.empty()) {
    plan.columns = !merged[0].reduced;
    (plan.columns ? plan.lines : plan.depth) = merged[0];
    next = 1;
    // The neighbour of the other kind completes the matrix; kept axes that could not be merged go
    // to the groups.
    if (next < merged.size() && merged[next].reduced != merged[0].reduced) {
      (plan.columns ? plan.depth : plan.lines) = merged[next];
      ++next;
    }
  }
  for (; next < merged.size(); ++next) {
    (merged[next].reduced ? plan.repeats : plan.groups).push_back(merged[next]);
    (merged[next].reduced ? plan.repeat_count : plan.group_count) *= merged[next].extent;
  }
  return plan;
}

struct Offsets {
  int64_t x = 0, y = 0;
};

Offsets offsets_of(int64_t index, const std::vector<Axis>& axes) {
  Offsets offsets;
  for (const Axis& axis : axes) {
    offsets.x += index % axis.extent * axis.x;
    offsets.y += index % axis.extent * axis.y;
    index /= axis.extent;
  }
  return offsets;
}

void add_columns(const float* x, int64_t rows, int64_t columns, int64_t stride, double* sums) {
  const ReduceKernels& kernel = kernels().reduce;
  const int64_t fold = kFoldedWidth / columns;
  if (fold < 2 || stride != columns || rows < 2 * fold)
    return kernel.sum_columns(x, rows, columns, stride, sums);
  double folded[kFoldedWidth] = {};
  const int64_t width = fold * columns, whole = rows / fold;
  kernel.sum_columns(x, whole, width, width, folded);
  kernel.sum_columns(x + whole * width, rows - whole * fold, columns, columns, folded);
  for (int64_t i = 0; i < width; ++i) sums[i % columns] += folded[i];
}

// sums[0 .. width) of one slab over one chunk of the depth.
void add_slab(const Plan& plan, const float* x, int64_t first_line, int64_t width,
              int64_t first_depth, int64_t depth, double* sums) {
  x += first_line * plan.lines.x + first_depth * plan.depth.x;
  for (int64_t i = 0; i < plan.repeat_count; ++i) {
    const float* start = x + offsets_of(i, plan.repeats).x;
    if (plan.columns) {
      add_columns(start, depth, width, plan.depth.x, sums);
    } else {
      kernels().reduce.sum_rows(start, width, depth, plan.lines.x, sums);
    }
  }
}

}  // namespace

void sum_axes(const std::vector<ReduceAxis>& axes, const float* x, double divisor, float* y) {
  const Plan plan = make_plan(axes);
  const int64_t per_line = std::max<int64_t>(plan.depth.extent * plan.repeat_count, 1);
  const int64_t slab = plan.columns ? kSlab : std::clamp<int64_t>(kPiece / per_line, 1, kSlab);
  const int64_t slabs = (plan.lines.extent + slab - 1) / slab, pieces = plan.group_count * slabs;
  if (pieces == 0) return;
  const int64_t slab_work = per_line * std::min(slab, plan.lines.extent);
  const int64_t chunks =
      pieces >= kEnoughPieces
          ? 1
          : std::clamp<int64_t>(std::min(slab_work / kPiece, plan.depth.extent), 1, kEnoughPieces);
  const int64_t chunk = (plan.depth.extent + chunks - 1) / chunks;

  const auto slab_sums = [&](int64_t piece, int64_t part, double* sums) {
    const int64_t first = piece % slabs * slab, width = std::min(slab, plan.lines.extent - first);
    const int64_t begin = std::min(part * chunk, plan.depth.extent),
                  depth = std::min(chunk, plan.depth.extent - begin);
    std::fill_n(sums, width, 0.0);
    add_slab(plan, x + offsets_of(piece / slabs, plan.groups).x, first, width, begin, depth, sums);
  };
  const auto write = [&](int64_t piece, const double* sums) {
    const int64_t first = piece % slabs * slab, width = std::min(slab, plan.lines.extent - first);
    float* target = y + offsets_of(piece / slabs, plan.groups).y + first * plan.lines.y;
    for (int64_t i = 0; i < width; ++i)
      target[i * plan.lines.y] = static_cast<float>(sums[i] / divisor);
  };

  if (chunks == 1) {
    parallel_for(pieces, grain_for(slab_work), [&](int64_t begin, int64_t end) {
      double sums[kSlab];
      for (int64_t piece = begin; piece < end; ++piece) {
        slab_sums(piece, 0, sums);
        write(piece, sums);
      }
    });
    return;
  }
  const Scratch<double> partial(pieces * chunks * kSlab);
  parallel_for(pieces * chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      slab_sums(i / chunks, i % chunks, partial.data() + i * kSlab);
  });
  for (int64_t piece = 0; piece < pieces; ++piece) {
    double* total = partial.data() + piece * chunks * kSlab;
    const int64_t width = std::min(slab, plan.lines.extent - piece % slabs * slab);
    for (int64_t part = 1; part < chunks; ++part)
      for (int64_t i = 0; i < width; ++i) total[i] += total[part * kSlab + i];
    write(piece, total);
  }
}

void max_all(const float* x, int64_t count, float* y) {
  const auto max_rows = kernels().reduce.max_rows;
  const int64_t pieces = (count + kPiece - 1) / kPiece;
  const Scratch<float> largest(pieces);
  parallel_for(pieces, 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      max_rows(x + i * kPiece, 1, std::min(kPiece, count - i * kPiece), largest.data() + i,
               nullptr);
  });
  max_rows(largest.data(), 1, pieces, y, nullptr);
}

void max_axis(const AxisView& view, const float* x, float* values, int64_t* indices) {
  const ReduceKernels& kernel = kernels().reduce;
  if (view.inner == 0) return;
  if (view.inner == 1)
    return parallel_for(view.outer, grain_for(view.length * 4), [&](int64_t begin, int64_t end) {
      kernel.max_rows(x + begin * view.length, end - begin, view.length, values + begin,
                      indices + begin);
    });
  const int64_t slabs = (view.inner + kSlab - 1) / kSlab;
  parallel_for(view.outer * slabs, grain_for(view.length * std::min(kSlab, view.inner) * 4),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t outer = i / slabs, first = i % slabs * kSlab,
                                 target = outer * view.inner + first;
                   kernel.max_columns(x + outer * view.length * view.inner + first, view.length,
                                      std::min(kSlab, view.inner - first), view.inner,
                                      values + target, indices + target);
                 }
               });
}

}  // namespace neurona
