// Resampling of rows and columns, a thread for each element of what is written; the formulas are in
// ops/resample.h.
//
// The backward pass gathers: each pixel of dx sums over the rows and columns of dy that read it,
// which the tables name. Products and sums are rounded one by one, so that both layouts of an image
// round alike.
#include "ops/resample.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/platform/device_memory.h"
#include "cuda/common/lanes.cuh"
#include "cuda/common/places.cuh"

namespace neurona {
namespace {

using Bytes = std::string;

// Vectors of the host, one behind the other.
class Tables {
 public:
  // Where a table begins; multiples of 8 bytes align all types used here.
  template <typename T>
  size_t add(const std::vector<T>& table) {
    const size_t at = bytes_.size();
    bytes_.append(reinterpret_cast<const char*>(table.data()), table.size() * sizeof(T));
    while (bytes_.size() % 8 != 0) bytes_.push_back(0);
    return at;
  }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

// Tables that are on the device already, or are put there to stay; null when too many are. A
// network resamples few shapes, over and over: the copies would cost more than the kernels, and a
// recorded call finds its tables where they were. Never destroyed, as the device's memory is not.
const Workspace* kept_tables(const Bytes& bytes) {
  constexpr size_t kMostKept = 64;
  static std::mutex mutex;
  static auto* all = new std::map<Bytes, Workspace>;
  const std::lock_guard<std::mutex> lock(mutex);
  if (const auto found = all->find(bytes); found != all->end()) return &found->second;
  if (all->size() == kMostKept) return nullptr;
  const auto added = all->try_emplace(bytes, bytes.size()).first;
  try {
    copy_to_device(added->second.as<char>(), bytes.data(), bytes.size());
  } catch (...) {
    all->erase(added);
    throw;
  }
  return &added->second;
}

// Tables on the device, for the length of an op.
class DeviceTables {
 public:
  explicit DeviceTables(const Bytes& bytes)
      : kept_(kept_tables(bytes)), own_(kept_ ? 0 : bytes.size()) {
    if (!kept_) copy_to_device(own_.as<char>(), bytes.data(), bytes.size());
  }
  template <typename T>
  const T* at(size_t place) const {
    return reinterpret_cast<const T*>((kept_ ? kept_ : &own_)->as<char>() + place);
  }

 private:
  const Workspace* kept_;
  Workspace own_;
};

// What one axis of y reads: `above` is null where that is one pixel.
struct Taps {
  int64_t length;  // of the axis of x
  const int32_t *below, *above;
  const float* part;
};

// What reads one axis of x: source[k] with weight[k] for start[i] <= k < start[i + 1].
struct Readers {
  int64_t count;  // of the axis of dy
  const int64_t* start;
  const int32_t* source;
  const float* weight;
};

struct TapPlaces {
  size_t below, above, part;

  TapPlaces(Tables& tables, const ResampleAxis& axis)
      : below(tables.add(axis.below)), above(tables.add(axis.above)), part(tables.add(axis.part)) {}

  Taps on(const DeviceTables& tables, const ResampleAxis& axis) const {
    return {axis.length, tables.at<int32_t>(below),
            axis.above.empty() ? nullptr : tables.at<int32_t>(above), tables.at<float>(part)};
  }
};

struct ReaderPlaces {
  size_t start, source, weight;

  ReaderPlaces(Tables& tables, const ResampleReaders& readers)
      : start(tables.add(readers.start)),
        source(tables.add(readers.source)),
        weight(tables.add(readers.weight)) {}

  Readers on(const DeviceTables& tables, const ResampleAxis& axis) const {
    return {axis.count(), tables.at<int64_t>(start), tables.at<int32_t>(source),
            tables.at<float>(weight)};
  }
};

template <int kLanes>
__device__ inline Lanes<float, kLanes> mixed(const Lanes<float, kLanes>& below,
                                             const Lanes<float, kLanes>& above, float part) {
  Lanes<float, kLanes> y;
  for (int lane = 0; lane < kLanes; ++lane)
    y[lane] = below[lane] * (1.0f - part) + above[lane] * part;
  return y;
}

// A column of x between two rows.
template <typename Index, int kLanes>
__device__ inline Lanes<float, kLanes> read_rows(const Taps& rows, Index row, Index line,
                                                 const Lanes<float, kLanes>* x) {
  const Lanes<float, kLanes> below = x[rows.below[row] * line];
  if (!rows.above) return below;
  // By name: of an element that is only referred to nvcc makes a load for each lane.
  const Lanes<float, kLanes> above = x[rows.above[row] * line];
  return mixed(below, above, rows.part[row]);
}

template <typename Index, int kLanes>
__global__ void forward_kernel(Taps rows, Taps columns, Places places, Index count,
                               const Lanes<float, kLanes>* x, Lanes<float, kLanes>* y) {
  wait_for_earlier_kernels();
  const auto groups = static_cast<Index>(places.groups()),
             length = static_cast<Index>(columns.length), line = length * groups,
             image_size = static_cast<Index>(rows.length) * line,
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = places[i];
    const Lanes<float, kLanes>* image = x + place.image * image_size + place.group;
    const auto read = [&](int32_t column) {
      return read_rows<Index>(rows, place.row, line, image + column * groups);
    };
    const Lanes<float, kLanes> below = read(columns.below[place.column]);
    y[i] = columns.above
               ? mixed(below, read(columns.above[place.column]), columns.part[place.column])
               : below;
  }
}

template <typename Index, int kLanes>
__global__ void backward_kernel(Readers rows, Readers columns, Places places, Index count,
                                const Lanes<float, kLanes>* dy, Lanes<float, kLanes>* dx) {
  wait_for_earlier_kernels();
  const auto groups = static_cast<Index>(places.groups()),
             line = static_cast<Index>(columns.count) * groups,
             image_size = static_cast<Index>(rows.count) * line,
             stride = static_cast<Index>(element_stride());
  for (auto i = static_cast<Index>(first_element()); i < count; i += stride) {
    const PlaceBy<Index> place = places[i];
    const Lanes<float, kLanes>* image = dy + place.image * image_size + place.group;
    const auto row_begin = static_cast<Index>(rows.start[place.row]),
               row_end = static_cast<Index>(rows.start[place.row + 1]),
               begin = static_cast<Index>(columns.start[place.column]),
               end = static_cast<Index>(columns.start[place.column + 1]);
    Lanes<float, kLanes> total{};
    for (Index k = begin; k < end; ++k) {
      const Lanes<float, kLanes>* column = image + columns.source[k] * groups;
      Lanes<float, kLanes> sum{};
      for (Index j = row_begin; j < row_end; ++j) {
        const Lanes<float, kLanes> value = column[rows.source[j] * line];
        for (int lane = 0; lane < kLanes; ++lane) sum[lane] += value[lane] * rows.weight[j];
      }
      for (int lane = 0; lane < kLanes; ++lane) total[lane] += sum[lane] * columns.weight[k];
    }
    dx[i] = total;
  }
}

// What with_index goes by: the elements of both arrays, and of the tables, whose entries are as
// many as those of the longer side of an axis, twice.
int64_t largest_of(int64_t images, int64_t channels, const ResampleAxis& rows,
                   const ResampleAxis& columns) {
  const int64_t tables = 2 * (rows.length + rows.count() + columns.length + columns.count());
  return std::max(
      {images * channels * std::max(rows.length * columns.length, rows.count() * columns.count()),
       tables});
}

}  // namespace

void resample2d_forward(int64_t images, int64_t channels, const ResampleAxis& rows,
                        const ResampleAxis& columns, const float* x, float* y) {
  Tables tables;
  const TapPlaces row_places(tables, rows), column_places(tables, columns);
  const DeviceTables on_device(tables.bytes());
  with_lanes(channels, {x, y}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = channels / kLanes,
                  count = images * rows.count() * columns.count() * groups;
    with_index(largest_of(images, channels, rows, columns), [&]<typename Index>(Index) {
      launch("resample2d_forward", forward_kernel<Index, kLanes>, overlapping(over_elements(count)),
             row_places.on(on_device, rows), column_places.on(on_device, columns),
             Places(rows.count(), columns.count(), groups), static_cast<Index>(count),
             as_lanes<kLanes>(x), as_lanes<kLanes>(y));
    });
  });
}

void resample2d_backward(int64_t images, int64_t channels, const ResampleAxis& rows,
                         const ResampleAxis& columns, const float* dy, float* dx) {
  Tables tables;
  const ReaderPlaces row_places(tables, ResampleReaders(rows)),
      column_places(tables, ResampleReaders(columns));
  const DeviceTables on_device(tables.bytes());
  with_lanes(channels, {dy, dx}, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t groups = channels / kLanes,
                  count = images * rows.length * columns.length * groups;
    with_index(largest_of(images, channels, rows, columns), [&]<typename Index>(Index) {
      launch("resample2d_backward", backward_kernel<Index, kLanes>,
             overlapping(over_elements(count)), row_places.on(on_device, rows),
             column_places.on(on_device, columns), Places(rows.length, columns.length, groups),
             static_cast<Index>(count), as_lanes<kLanes>(dy), as_lanes<kLanes>(dx));
    });
  });
}

}  // namespace neurona
