#include "ops/unpool2d.h"

#include <algorithm>
#include <mutex>

#include "core/thread_pool.h"

namespace neurona {
namespace {

// Channels of one image that a thread scatters alone: a cache line of them, so that two threads do
// not write to one line.
constexpr int64_t kChannelsAtOnce = 16;

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

void max_unpool2d_forward(int64_t images, int64_t pixels, int64_t channels, int64_t places,
                          const float* x, const int64_t* indices, float* y) {
  const int64_t total = images * places * channels;
  parallel_for(total, grain_for(4),
               [&](int64_t begin, int64_t end) { std::fill(y + begin, y + end, 0.0f); });
  // Values for one place must be written in their order: a thread has all pixels of its channels.
  const int64_t groups = (channels + kChannelsAtOnce - 1) / kChannelsAtOnce;
  const int64_t width = std::min(channels, kChannelsAtOnce);
  parallel_for(images * groups, grain_for(16 * pixels * width), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / groups, first = i % groups * kChannelsAtOnce;
      const int64_t last = std::min(channels, first + kChannelsAtOnce);
      float* image = y + n * places * channels;
      const int64_t begin_pixel = n * pixels, end_pixel = begin_pixel + pixels;
      if (channels == 1) {
        for (int64_t pixel = begin_pixel; pixel < end_pixel; ++pixel)
          image[indices[pixel]] = x[pixel];
        continue;
      }
      for (int64_t pixel = begin_pixel; pixel < end_pixel; ++pixel)
        for (int64_t c = first; c < last; ++c)
          image[indices[pixel * channels + c] * channels + c] = x[pixel * channels + c];
    }
  });
}

void max_unpool2d_backward(int64_t images, int64_t pixels, int64_t channels, int64_t places,
                           const float* dy, const int64_t* indices, float* dx) {
  parallel_for(images * pixels, grain_for(16 * channels), [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t n = begin / pixels, stop = std::min(end, (n + 1) * pixels);
      const float* image = dy + n * places * channels;
      if (channels == 1)
        for (; begin < stop; ++begin) dx[begin] = image[indices[begin]];
      for (; begin < stop; ++begin)
        for (int64_t c = 0; c < channels; ++c)
          dx[begin * channels + c] = image[indices[begin * channels + c] * channels + c];
    }
  });
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
