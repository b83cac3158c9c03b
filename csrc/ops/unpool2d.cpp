#include "ops/unpool2d.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <vector>

#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"
#include "kernels/select.h"

namespace neurona {
namespace {

// Channels of one image that a thread scatters alone: a cache line of them, so that two threads do
// not write to one line.
constexpr int64_t kChannelsAtOnce = 16;

bool is_inside(int64_t place, int64_t places) {
  return static_cast<uint64_t>(place) < static_cast<uint64_t>(places);
}

// The channels of an image in groups: a thread clears a group's pixels and fills them while they
// are in L2. Values for one place must be written in their order, so it has all pixels of a group.
struct Groups {
  int64_t count, width;
};

Groups groups_of(int64_t images, int64_t channels, int64_t places) {
  const int64_t line = kChannelsAtOnce * static_cast<int64_t>(sizeof(float)),
                lines = divide_up(channels, kChannelsAtOnce);
  const int64_t in_l2 = std::max<int64_t>(1, cache_sizes().l2 / 2 / (places * line)),
                for_threads = std::max<int64_t>(1, images * lines / (2 * num_threads()));
  const int64_t width = std::min(channels, kChannelsAtOnce * std::min({lines, in_l2, for_threads}));
  return {divide_up(channels, width), width};
}

void clear(float* image, int64_t places, int64_t channels, int64_t width) {
  if (width == channels) {
    std::fill_n(image, places * channels, 0.0f);
    return;
  }
  for (int64_t place = 0; place < places; ++place)
    std::fill_n(image + place * channels, width, 0.0f);
}

// False if an index is outside; its value is left out.
bool scatter(int64_t pixels, int64_t channels, int64_t width, int64_t places, const float* x,
             const int64_t* indices, float* image) {
  bool all = true;
  for (int64_t pixel = 0; pixel < pixels; ++pixel, x += channels, indices += channels)
    for (int64_t c = 0; c < width; ++c) {
      if (is_inside(indices[c], places)) {
        image[indices[c] * channels + c] = x[c];
      } else {
        all = false;
      }
    }
  return all;
}

// Without a branch, so that it runs as vectors: the sign of place, or of places - 1 - place.
bool all_inside(const int64_t* indices, int64_t count, int64_t places) {
  uint64_t signs = 0;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t place = static_cast<uint64_t>(indices[i]);
    signs |= place | (static_cast<uint64_t>(places - 1) - place);
  }
  return signs >> 63 == 0;
}

// Any indices: images are cleared and their values scattered.
bool scatter_images(const UnpoolShape& shape, int64_t images, const float* x,
                    const int64_t* indices, float* y) {
  const int64_t pixels = shape.pixels(), places = shape.places(), channels = shape.channels;
  const Groups groups = groups_of(images, channels, places);
  std::atomic<bool> inside{true};
  parallel_for(images * groups.count, grain_for(16 * pixels * groups.width),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t n = i / groups.count, first = i % groups.count * groups.width;
                   const int64_t width = std::min(channels - first, groups.width);
                   const int64_t from = n * pixels * channels + first;
                   float* image = y + n * places * channels + first;
                   clear(image, places, channels, width);
                   if (!scatter(pixels, channels, width, places, x + from, indices + from, image))
                     inside = false;
                 }
               });
  return inside;
}

// Any indices of the thin pixels begin .. end - 1, counted through all images.
bool gather_pixels(const UnpoolShape& shape, int64_t begin, int64_t end, const float* dy,
                   const int64_t* indices, float* dx) {
  const int64_t pixels = shape.pixels(), places = shape.places(), channels = shape.channels;
  bool all = true;
  while (begin < end) {
    const int64_t n = begin / pixels, stop = std::min(end, (n + 1) * pixels);
    const float* image = dy + n * places * channels;
    for (; begin < stop; ++begin) {
      const int64_t* from = indices + begin * channels;
      float* out = dx + begin * channels;
      if (all_inside(from, channels, places)) {
        for (int64_t c = 0; c < channels; ++c) out[c] = image[from[c] * channels + c];
      } else {
        all = false;
        for (int64_t c = 0; c < channels; ++c)
          out[c] = is_inside(from[c], places) ? image[from[c] * channels + c] : 0.0f;
      }
    }
  }
  return all;
}

// Whether the indices may be those of disjoint windows of 2 x 2 pixels, as they nearly always are,
// and the kernels take them.
bool may_be_windows(const UnpoolShape& shape) {
  return shape.wide[0] == 2 * shape.thin[0] && shape.wide[1] == 2 * shape.thin[1] &&
         shape.channels >= kernels().unpool.lanes &&
         shape.places() <= std::numeric_limits<int32_t>::max();
}

// The rows of windows, from which those of an image follow.
struct WindowRows {
  int64_t count, thin, wide;  // rows of all images; floats of a thin row, and of its two wide ones
  int64_t places;             // in two wide rows
  int64_t bytes;              // read and written for each: two floats for an index
  bool past_caches;

  explicit WindowRows(const UnpoolShape& shape)
      : count(shape.images * shape.thin[0]),
        thin(shape.thin[1] * shape.channels),
        wide(4 * thin),
        places(4 * shape.thin[1]),
        bytes((3 * thin + wide) * int64_t{sizeof(float)}),
        past_caches(outgrows_caches(count * bytes)) {}
};

// Fills all images whose indices lie in their own windows. `strange` tells of the others, which
// have no use for further rows.
void fill_images(const UnpoolShape& shape, const float* x, const int64_t* indices, float* y,
                 std::vector<std::atomic<bool>>& strange) {
  const WindowRows rows(shape);
  const auto fill = kernels().unpool.fill_windows;
  parallel_for(rows.count, grain_for(rows.bytes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::atomic<bool>& stopped = strange[static_cast<size_t>(i / shape.thin[0])];
      if (!stopped.load(std::memory_order_relaxed) &&
          !fill(shape.thin[1], shape.channels, i % shape.thin[0] * rows.places, x + i * rows.thin,
                indices + i * rows.thin, y + i * rows.wide, rows.past_caches))
        stopped = true;
    }
  });
}

}  // namespace

void bed_of_nails_forward(int64_t images, const std::array<int64_t, 2>& size, int64_t channels,
                          const std::array<int64_t, 2>& block, const float* x, float* y) {
  const int64_t x_row = size[1] * channels, step = block[1] * channels, y_row = x_row * block[1];
  parallel_for(images * size[0], grain_for(4 * y_row * block[0]), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = y + i * block[0] * y_row;
      const float* in = x + i * x_row;
      if (channels < kChannelsAtOnce) {  // too few for a copy of each pixel's
        std::fill_n(out, y_row * block[0], 0.0f);
        for (int64_t c = 0; c < channels; ++c)
          for (int64_t w = 0; w < size[1]; ++w) out[w * step + c] = in[w * channels + c];
        continue;
      }
      for (int64_t w = 0; w < size[1]; ++w) {
        std::copy_n(in + w * channels, channels, out + w * step);
        std::fill_n(out + w * step + channels, step - channels, 0.0f);
      }
      std::fill_n(out + y_row, y_row * (block[0] - 1), 0.0f);
    }
  });
}

bool max_unpool2d_forward(const UnpoolShape& shape, const float* x, const int64_t* indices,
                          float* y) {
  if (!may_be_windows(shape)) return scatter_images(shape, shape.images, x, indices, y);
  std::vector<std::atomic<bool>> strange(static_cast<size_t>(shape.images));
  fill_images(shape, x, indices, y, strange);
  // Neighbours together, since commonly all images are strange or none is.
  bool inside = true;
  for (auto first = strange.begin(); first != strange.end();) {
    const auto end = std::find(first, strange.end(), !*first);
    const int64_t n = first - strange.begin(), from = n * shape.pixels() * shape.channels;
    if (*first)
      inside &= scatter_images(shape, end - first, x + from, indices + from,
                               y + n * shape.places() * shape.channels);
    first = end;
  }
  return inside;
}

bool max_unpool2d_backward(const UnpoolShape& shape, const float* dy, const int64_t* indices,
                           float* dx) {
  std::atomic<bool> inside{true};
  if (!may_be_windows(shape)) {
    parallel_for(shape.images * shape.pixels(), grain_for(16 * shape.channels),
                 [&](int64_t begin, int64_t end) {
                   if (!gather_pixels(shape, begin, end, dy, indices, dx)) inside = false;
                 });
    return inside;
  }
  const WindowRows rows(shape);
  const auto read = kernels().unpool.read_windows;
  parallel_for(rows.count, grain_for(rows.bytes), [&](int64_t begin, int64_t end) {
    // Where one row has other indices, those behind it commonly have them too.
    bool windows = true;
    for (int64_t i = begin; i < end; ++i) {
      windows = windows && read(shape.thin[1], shape.channels, i % shape.thin[0] * rows.places,
                                dy + i * rows.wide, indices + i * rows.thin, dx + i * rows.thin,
                                rows.past_caches);
      if (!windows &&
          !gather_pixels(shape, i * shape.thin[1], (i + 1) * shape.thin[1], dy, indices, dx))
        inside = false;
    }
  });
  return inside;
}

IndexRange index_range(const int64_t* indices, int64_t count) {
  IndexRange range{indices[0], indices[0]};
  std::mutex joining;
  parallel_for(count, grain_for(8), [&](int64_t begin, int64_t end) {
    int64_t smallest = indices[begin], largest = indices[begin];
    for (int64_t i = begin; i < end; ++i) {
      smallest = std::min(smallest, indices[i]);
      largest = std::max(largest, indices[i]);
    }
    const std::lock_guard<std::mutex> lock(joining);
    range = {std::min(range.smallest, smallest), std::max(range.largest, largest)};
  });
  return range;
}

}  // namespace neurona
