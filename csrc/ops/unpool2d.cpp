#include "ops/unpool2d.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/cpu.h"
#include "core/divide.h"
#include "core/thread_pool.h"

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

bool max_unpool2d_forward(int64_t images, int64_t pixels, int64_t channels, int64_t places,
                          const float* x, const int64_t* indices, float* y) {
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

bool max_unpool2d_backward(int64_t images, int64_t pixels, int64_t channels, int64_t places,
                           const float* dy, const int64_t* indices, float* dx) {
  std::atomic<bool> inside{true};
  parallel_for(images * pixels, grain_for(16 * channels), [&](int64_t begin, int64_t end) {
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
    if (!all) inside = false;
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
